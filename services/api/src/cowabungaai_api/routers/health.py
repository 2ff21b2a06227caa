# SPDX-License-Identifier: Apache-2.0
"""Health of the gateway itself, and its metrics. Backends are no part of it: a gateway answers also while they load."""

from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from cowabungaai_api.dependencies import StateDependency
from cowabungaai_api.errors import ApiError

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """The gateway answers."""

    status: Literal["ok"] = "ok"


@router.get("/livez")
async def livez() -> Health:
    """Says that the process answers."""
    return Health()


@router.get("/healthz")
async def healthz() -> Health:
    """The same, under the name that older probes use."""
    return Health()


@router.get("/readyz")
async def readyz(state: StateDependency) -> Health:
    """Says that requests may come: the database answers, and the gateway is not about to stop."""
    if state.draining:
        raise ApiError(503, "The gateway is stopping.", "draining")
    # A database that does not answer raises 503 by itself.
    await state.auth.check()
    return Health()


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(request: Request, state: StateDependency) -> Response:
    """Prometheus' text format. Needs an admin key, unless the setting public_metrics is on."""
    if not state.settings.public_metrics:
        request.state.principal.require("admin")
    return Response(state.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")
