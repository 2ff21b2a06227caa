# SPDX-License-Identifier: Apache-2.0
"""What the routers share."""

from typing import Annotated

from fastapi import Depends, Request

from cowabungaai_api.auth.principal import Principal
from cowabungaai_api.state import State


async def _state(request: Request) -> State:
    found: State = request.app.state.gateway
    return found


async def _principal(request: Request) -> Principal:
    found: Principal = request.state.principal
    return found


async def _admin(principal: Annotated[Principal, Depends(_principal)]) -> Principal:
    principal.require("admin")
    return principal


StateDependency = Annotated[State, Depends(_state)]
Caller = Annotated[Principal, Depends(_principal)]
Admin = Annotated[Principal, Depends(_admin)]
