# SPDX-License-Identifier: Apache-2.0
"""The endpoints about API keys, on both databases."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request, Response

from cowabungaai_api import errors
from cowabungaai_api.auth import keys, schema
from cowabungaai_api.auth.config import AuthConfig, LimitsConfig
from cowabungaai_api.auth.principal import Principal
from cowabungaai_api.auth.router import router
from cowabungaai_api.auth.service import Auth

pytestmark = pytest.mark.anyio
ADMIN_KEY = keys.generate()
ROOT = "/cowabungaai/v1/auth"
KEYS = f"{ROOT}/api-keys"
NOBODY = "key_" + "0" * 30


@pytest.fixture
async def auth(database_url: str) -> AsyncIterator[Auth]:
    found = Auth(database_url, AuthConfig(default_limits=LimitsConfig(requests_per_minute=60)), ADMIN_KEY)
    await found.open()
    yield found
    await found.close()


@pytest.fixture
def app(auth: Auth) -> FastAPI:
    made = FastAPI()
    made.state.auth = auth
    made.include_router(router, prefix="/cowabungaai/v1")
    errors.install(made)
    return made


def client_of(app: FastAPI, key: str | None) -> httpx.AsyncClient:
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway", headers=headers)


@pytest.fixture
async def admin(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app, ADMIN_KEY) as client:
        yield client


def error_of(answer: httpx.Response) -> tuple[int, str | None, str | None]:
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return answer.status_code, error["code"], error["param"]


async def made(admin: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await admin.post(KEYS, json={"name": "first", **body})
    assert answer.status_code == 201
    found: dict[str, Any] = answer.json()
    return found


async def test_a_key_is_shown_once(admin: httpx.AsyncClient) -> None:
    soon = int(time.time()) + 100
    limits = {"tokens_per_month": 2**53}
    new = await made(admin, scopes=["inference"], models=["llama-*"], limits=limits, expires_at=soon)
    value = new.pop("value")
    assert keys.is_well_formed(value)
    assert new == {
        "id": new["id"],
        "object": "api_key",
        "name": "first",
        "redacted_value": f"{value[:11]}...",
        "scopes": ["inference"],
        "models": ["llama-*"],
        "limits": {
            "requests_per_minute": None,
            "tokens_per_minute": None,
            "requests_per_day": None,
            "tokens_per_day": None,
            "tokens_per_month": 2**53,
        },
        "created_at": new["created_at"],
        "expires_at": soon,
        "revoked_at": None,
        "last_used_at": None,
    }
    assert (await admin.get(f"{KEYS}/{new['id']}")).json() == new


async def test_the_smallest_request_makes_a_key_for_inference(admin: httpx.AsyncClient, app: FastAPI) -> None:
    new = await made(admin)
    assert (new["scopes"], new["models"], new["expires_at"]) == (["inference"], None, None)
    async with client_of(app, new["value"]) as client:
        assert (await client.get(f"{ROOT}/me")).json()["id"] == new["id"]


async def test_pages(admin: httpx.AsyncClient) -> None:
    ids = [(await made(admin, name=str(number)))["id"] for number in range(5)]
    first = (await admin.get(KEYS, params={"limit": 2})).json()
    assert [key["id"] for key in first["data"]] == [ids[4], ids[3]]
    assert (first["object"], first["first_id"], first["last_id"], first["has_more"]) == ("list", ids[4], ids[3], True)
    second = (await admin.get(KEYS, params={"limit": 10, "after": first["last_id"]})).json()
    assert ([key["id"] for key in second["data"]], second["has_more"]) == ([ids[2], ids[1], ids[0]], False)
    back = (await admin.get(KEYS, params={"limit": 1, "before": ids[0]})).json()
    assert ([key["id"] for key in back["data"]], back["has_more"]) == ([ids[1]], True)
    upwards = (await admin.get(KEYS, params={"order": "asc"})).json()
    assert [key["id"] for key in upwards["data"]] == ids
    assert all("value" not in key for key in upwards["data"])
    nothing = (await admin.get(KEYS, params={"after": ids[0]})).json()
    assert nothing == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}


@pytest.mark.parametrize(
    ("query", "param"),
    [({"limit": 0}, "limit"), ({"limit": 101}, "limit"), ({"order": "up"}, "order"), ({"after": "x"}, "after")],
)
async def test_wrong_pages_are_told(admin: httpx.AsyncClient, query: dict[str, Any], param: str) -> None:
    status, _, found = error_of(await admin.get(KEYS, params=query))
    assert (status, found) == (400, param)


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({}, "missing_required_parameter", "name"),
        ({"name": ""}, "invalid_value", "name"),
        ({"name": 5}, "invalid_type", "name"),
        ({"name": "a\u001b[31m"}, "invalid_value", "name"),
        ({"name": "a\u0000"}, "invalid_value", "name"),
        ({"name": "a", "scopes": []}, "invalid_value", "scopes"),
        ({"name": "a", "scopes": ["root"]}, "invalid_value", "scopes[0]"),
        ({"name": "a", "models": [""]}, "invalid_value", "models[0]"),
        ({"name": "a", "limits": {"requests_per_minute": 0}}, "invalid_value", "limits.requests_per_minute"),
        ({"name": "a", "limits": {"requests_per_minute": "5"}}, "invalid_type", "limits.requests_per_minute"),
        ({"name": "a", "limits": {"per_minute": 5}}, "unknown_parameter", "limits.per_minute"),
        ({"name": "a", "expires_at": 1}, "invalid_value", "expires_at"),
        ({"name": "a", "expires_at": 2**60}, "invalid_value", "expires_at"),
        ({"name": "a", "admin": True}, "unknown_parameter", "admin"),
    ],
)
async def test_wrong_bodies_are_told(admin: httpx.AsyncClient, body: dict[str, Any], code: str, param: str) -> None:
    assert error_of(await admin.post(KEYS, json=body)) == (400, code, param)
    assert (await admin.get(KEYS)).json()["data"] == []


async def test_changes(admin: httpx.AsyncClient) -> None:
    soon = int(time.time()) + 100
    limits = {"requests_per_minute": 1, "tokens_per_day": 2}
    new = await made(admin, models=["a"], expires_at=soon, limits=limits)
    url = f"{KEYS}/{new['id']}"
    before = (await admin.get(url)).json()

    async def changed(**body: Any) -> dict[str, Any]:
        answer = await admin.patch(url, json=body)
        assert answer.status_code == 200
        assert answer.json() == (await admin.get(url)).json()
        found: dict[str, Any] = answer.json()
        return found

    assert await changed() == before
    assert await changed(name="second") == {**before, "name": "second"}
    after = await changed(limits={"tokens_per_day": None, "requests_per_day": 3})
    assert {name: value for name, value in after["limits"].items() if value} == {
        "requests_per_minute": 1,
        "requests_per_day": 3,
    }
    free = await changed(models=None, expires_at=None, limits=None, scopes=["admin"])
    assert (free["models"], free["expires_at"], free["scopes"], set(free["limits"].values())) == (
        None,
        None,
        ["admin"],
        {None},
    )


@pytest.mark.parametrize(
    ("body", "param"), [({"name": None}, "name"), ({"scopes": None}, "scopes"), ({"expires_at": 5}, "expires_at")]
)
async def test_wrong_changes_are_told(admin: httpx.AsyncClient, body: dict[str, Any], param: str) -> None:
    new = await made(admin)
    assert error_of(await admin.patch(f"{KEYS}/{new['id']}", json=body)) == (400, "invalid_value", param)


async def test_revoking_ends_a_key_at_once(admin: httpx.AsyncClient, app: FastAPI) -> None:
    new = await made(admin)
    url = f"{KEYS}/{new['id']}"
    async with client_of(app, new["value"]) as client:
        assert (await client.get(f"{ROOT}/me")).status_code == 200
        answer = await admin.delete(url)
        assert answer.json() == {"id": new["id"], "object": "api_key.deleted", "deleted": True}
        assert error_of(await client.get(f"{ROOT}/me"))[:2] == (401, "invalid_api_key")
    assert (await admin.get(url)).json()["revoked_at"] >= new["created_at"]
    assert error_of(await admin.patch(url, json={"name": "x"})) == (409, "api_key_revoked", None)
    assert error_of(await admin.post(f"{url}/rotate")) == (409, "api_key_revoked", None)
    assert (await admin.delete(url)).status_code == 200


async def test_rotation(admin: httpx.AsyncClient, app: FastAPI) -> None:
    first = await made(admin)
    url = f"{KEYS}/{first['id']}/rotate"
    second = (await admin.post(url, json={"grace_seconds": 60})).json()
    assert second["id"] == first["id"]
    third = None
    async with client_of(app, first["value"]) as old, client_of(app, second["value"]) as new:
        assert (await old.get(f"{ROOT}/me")).json()["expires_at"] <= time.time() + 60
        assert (await new.get(f"{ROOT}/me")).json()["expires_at"] is None
        third = (await admin.post(url)).json()
        for client in (old, new):
            assert error_of(await client.get(f"{ROOT}/me"))[0] == 401
    async with client_of(app, third["value"]) as newest:
        assert (await newest.get(f"{ROOT}/me")).status_code == 200
    assert error_of(await admin.post(url, json={"grace_seconds": -1})) == (400, "invalid_value", "grace_seconds")


@pytest.mark.parametrize("id", [NOBODY, "nonsense", "%00", "a%2Fb"])
async def test_keys_that_are_not_there_are_told(admin: httpx.AsyncClient, id: str) -> None:
    assert (await admin.get(f"{KEYS}/{id}")).status_code == 404
    if "%2F" not in id:
        for answer in (
            await admin.patch(f"{KEYS}/{id}", json={"name": "x"}),
            await admin.patch(f"{KEYS}/{id}", json={"limits": None}),
            await admin.delete(f"{KEYS}/{id}"),
            await admin.post(f"{KEYS}/{id}/rotate"),
        ):
            assert error_of(answer) == (404, "api_key_not_found", None)


async def test_only_admins_may_manage_keys(admin: httpx.AsyncClient, app: FastAPI) -> None:
    new = await made(admin)
    calls = [("POST", KEYS), ("GET", KEYS)]
    calls += [(method, f"{KEYS}/{new['id']}") for method in ("GET", "PATCH", "DELETE")]
    calls.append(("POST", f"{KEYS}/{new['id']}/rotate"))
    for key, expected in (
        (new["value"], (403, "insufficient_permissions", None)),
        (None, (401, "invalid_api_key", None)),
    ):
        async with client_of(app, key) as client:
            for method, url in calls:
                assert error_of(await client.request(method, url)) == expected, (method, url)
    assert (await admin.get(f"{KEYS}/{new['id']}")).json()["revoked_at"] is None


async def test_a_key_with_the_scope_may_manage_keys(admin: httpx.AsyncClient, app: FastAPI) -> None:
    new = await made(admin, scopes=["admin"])
    async with client_of(app, new["value"]) as client:
        assert (await client.get(KEYS)).status_code == 200


async def test_who_am_i(admin: httpx.AsyncClient, app: FastAPI, auth: Auth) -> None:
    new = await made(admin, models=["llama-*"], limits={"tokens_per_day": 100})
    async with client_of(app, new["value"]) as client:
        await client.get(f"{ROOT}/me")
        principal = auth.authenticator.cached(f"Bearer {new['value']}".encode())
        assert principal is not None
        auth.limiter.acquire(principal, 10).settle(7)
        await auth.flush()
        answer = (await client.get(f"{ROOT}/me")).json()
    assert answer == {
        "id": new["id"],
        "object": "principal",
        "name": "first",
        "kind": "api_key",
        "scopes": ["inference"],
        "models": ["llama-*"],
        "limits": {
            "requests_per_minute": 60,
            "tokens_per_minute": None,
            "requests_per_day": None,
            "tokens_per_day": 100,
            "tokens_per_month": None,
        },
        "expires_at": None,
        "usage": {"day": {"requests": 1, "tokens": 7}, "month": {"requests": 1, "tokens": 7}},
    }
    assert (await admin.get(f"{ROOT}/me")).json()["kind"] == "admin_key"


async def test_who_the_middleware_found_is_believed(app: FastAPI) -> None:
    @app.middleware("http")
    async def found(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        request.state.principal = Principal("jwt_1", "Ann", "jwt", frozenset({"admin"}))
        return await call_next(request)

    async with client_of(app, None) as client:
        assert (await client.get(f"{ROOT}/me")).json()["name"] == "Ann"
        assert (await client.get(KEYS)).status_code == 200


async def test_a_broken_database_is_told_without_its_address(
    admin: httpx.AsyncClient, app: FastAPI, auth: Auth, caplog: pytest.LogCaptureFixture
) -> None:
    await schema.downgrade(auth.db, "base")
    answer = await admin.get(KEYS)
    assert error_of(answer) == (503, "database_unavailable", None)
    assert answer.headers["retry-after"] == "1"
    assert auth.db.url not in answer.text
    assert auth.db.url in caplog.records[-1].__dict__["fields"]["error"]
    async with client_of(app, keys.generate()) as client:
        assert error_of(await client.get(f"{ROOT}/me")) == (503, "database_unavailable", None)


async def test_the_schema_of_the_endpoints_is_complete(app: FastAPI) -> None:
    described = app.openapi()
    assert {path for path in described["paths"]} == {f"{ROOT}/me", KEYS, f"{KEYS}/{{id}}", f"{KEYS}/{{id}}/rotate"}
