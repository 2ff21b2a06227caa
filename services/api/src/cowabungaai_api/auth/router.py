# SPDX-License-Identifier: Apache-2.0
"""The endpoints about API keys: `/auth/api-keys` for administrators, `/auth/me` for everybody."""

import logging
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from cowabungaai_api.auth import bodies
from cowabungaai_api.auth.errors import AuthError, DatabaseError
from cowabungaai_api.auth.principal import LIMIT_NAMES, NO_LIMITS, Principal
from cowabungaai_api.auth.service import Auth
from cowabungaai_api.auth.store import ID_PATTERN, KEEP, MAX_PAGE, Order
from cowabungaai_api.errors import ApiError, from_auth

Cursor = Annotated[str | None, Query(pattern=ID_PATTERN)]

router = APIRouter(prefix="/auth", tags=["auth"])
log = logging.getLogger("cowabungaai.api.auth")


async def _auth(request: Request) -> AsyncIterator[Auth]:
    """The gateway's, with its errors turned into the client's."""
    try:
        yield request.app.state.auth
    except AuthError as error:
        if isinstance(error, DatabaseError):
            log.error("the database cannot be used", extra={"fields": {"error": str(error)}})
        raise from_auth(error) from error


AuthNeeded = Annotated[Auth, Depends(_auth)]


async def _principal(request: Request, auth: AuthNeeded) -> Principal:
    """Who asks: as the gateway's middleware found out, or else found out here."""
    known = getattr(request.state, "principal", None)
    if isinstance(known, Principal):
        return known
    header = request.headers.get("authorization")
    return await auth.authenticator.authenticate(None if header is None else header.encode("latin-1"))


async def _admin(principal: Annotated[Principal, Depends(_principal)], auth: AuthNeeded) -> None:
    principal.require("admin")


_for_admins = [Depends(_admin)]


@router.post("/api-keys", status_code=201, dependencies=_for_admins, summary="Make an API key")
async def create(body: bodies.CreateKey, auth: AuthNeeded) -> bodies.NewKeyAnswer:
    """Makes a key. The answer is the only one that has its secret."""
    _check_expiry(body.expires_at)
    limits = body.limits.changed(NO_LIMITS)
    return bodies.new_key_answer(await auth.store.create(body.name, body.scopes, body.models, limits, body.expires_at))


@router.get("/api-keys", dependencies=_for_admins, summary="List API keys")
async def list_keys(
    auth: AuthNeeded,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 20,
    order: Order = "desc",
    after: Cursor = None,
    before: Cursor = None,
) -> bodies.KeyList:
    """Lists keys, the newest first; also those that are revoked."""
    return bodies.key_list(*await auth.store.list(limit, order, after, before))


@router.get("/api-keys/{id}", dependencies=_for_admins, summary="Read an API key")
async def read(id: str, auth: AuthNeeded) -> bodies.KeyAnswer:
    """Tells what is known of a key."""
    return bodies.key_answer(await auth.store.get(id))


@router.patch("/api-keys/{id}", dependencies=_for_admins, summary="Change an API key")
async def change(id: str, body: bodies.ChangeKey, auth: AuthNeeded) -> bodies.KeyAnswer:
    """Changes a key; what is left out stays, and null takes a restriction away."""
    changes: dict[str, Any] = {name: getattr(body, name) for name in body.model_fields_set}
    for name in ("name", "scopes"):
        if changes.get(name, KEEP) is None:
            raise ApiError(
                400, f"Invalid '{name}': null is not allowed; leave it out to keep it.", "invalid_value", name
            )
    _check_expiry(changes.get("expires_at"))
    if "limits" in changes:
        limits = body.limits or bodies.LimitsBody(**dict.fromkeys(LIMIT_NAMES))
        changes["limits"] = limits.changed((await auth.store.get(id)).limits)
    return bodies.key_answer(await auth.store.update(id, **changes))


@router.delete("/api-keys/{id}", dependencies=_for_admins, summary="Revoke an API key")
async def revoke(id: str, auth: AuthNeeded) -> bodies.DeletedKey:
    """Revokes a key, which is for good. It stays in the list."""
    return bodies.DeletedKey(id=(await auth.store.revoke(id)).id)


@router.post("/api-keys/{id}/rotate", dependencies=_for_admins, summary="Give an API key a new secret")
async def rotate(id: str, auth: AuthNeeded, body: bodies.RotateKey | None = None) -> bodies.NewKeyAnswer:
    """Gives a key a new secret, which only this answer has."""
    grace_s = body.grace_seconds if body else 0
    return bodies.new_key_answer(await auth.store.rotate(id, grace_s))


@router.get("/me", summary="Who am I")
async def who_am_i(principal: Annotated[Principal, Depends(_principal)], auth: AuthNeeded) -> bodies.Me:
    """Tells who asks, what they may do, and what they used."""
    await auth.limiter.prepare(principal)
    return bodies.me(principal, *auth.limiter.usage(principal))


def _check_expiry(moment: int | None) -> None:
    now = int(time.time())
    if moment is not None and moment <= now:
        message = f"Invalid 'expires_at': expected seconds since 1970 in the future (it is {now}), got {moment}."
        raise ApiError(400, message, "invalid_value", "expires_at")
