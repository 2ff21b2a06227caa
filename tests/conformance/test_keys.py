# SPDX-License-Identifier: Apache-2.0
"""auth: the life of an API key, its limits, and who am I."""

from __future__ import annotations

import time
from typing import Any

import httpx2
import openai
import pytest
from pydantic import BaseModel, ConfigDict

from conformance.ask import MESSAGES
from conformance.conftest import MakeKey
from conformance.strict import check_body
from conformance.strict import client as strict_client
from conformance.target import OWN, Target

pytestmark = [pytest.mark.endpoint("auth")]
KEYS = f"{OWN}/auth/api-keys"
# Long enough that a busy machine makes a key and uses it in time; and how much longer the gateway's clock may take.
EXPIRES_S, GIVEN_S = 8, 20


class Key(BaseModel):
    """A key as the gateway shows it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: str
    object: str
    name: str
    redacted_value: str
    scopes: list[str]
    models: list[str] | None
    limits: dict[str, int | None]
    created_at: int
    expires_at: int | None
    revoked_at: int | None
    last_used_at: int | None


def listed(http: httpx2.Client, key: str) -> Key | None:
    """A key of the list, all pages of it."""
    query: dict[str, Any] = {"limit": 100}
    while True:
        page = http.get(KEYS, params=query).json()
        assert page["object"] == "list"
        if found := next((entry for entry in page["data"] if entry["id"] == key), None):
            return Key.model_validate(found)
        if not page["has_more"]:
            return None
        query["after"] = page["last_id"]


def test_a_key_is_shown_once(http: httpx2.Client, make_key: MakeKey) -> None:
    made = make_key(name="shown once")
    secret = made.pop("value")
    assert secret.startswith("cbai_")
    key = Key.model_validate(made)
    assert secret.startswith(key.redacted_value.removesuffix("..."))
    assert key.scopes == ["inference"]
    for answer in (http.get(f"{KEYS}/{key.id}"), http.get(KEYS)):
        assert answer.status_code == 200
        assert secret not in answer.text
    assert Key.model_validate(http.get(f"{KEYS}/{key.id}").json()) == key
    assert listed(http, key.id) == key


def test_keys_are_listed_in_pages(http: httpx2.Client, make_key: MakeKey) -> None:
    made = [make_key(name=f"page {number}")["id"] for number in range(3)]
    first = http.get(KEYS, params={"limit": 2}).json()
    assert len(first["data"]) == 2
    assert first["has_more"] is True
    assert (first["first_id"], first["last_id"]) == (first["data"][0]["id"], first["data"][1]["id"])
    second = http.get(KEYS, params={"limit": 2, "after": first["last_id"]}).json()
    names = [entry["id"] for page in (first, second) for entry in page["data"]]
    assert len(set(names)) == len(names)
    assert set(made) <= set(names)


def test_a_key_is_changed_in_part(target: Target, http: httpx2.Client, make_key: MakeKey, model: str) -> None:
    made = make_key(models=["none-of-them-*"], limits={"requests_per_minute": 50, "tokens_per_day": 10**9})
    client = strict_client(target.base_url, made["value"])
    assert list(client.models.list()) == []
    changed = http.patch(f"{KEYS}/{made['id']}", json={"models": [model], "limits": {"requests_per_minute": None}})
    assert changed.status_code == 200
    key = Key.model_validate(changed.json())
    assert key.models == [model]
    assert key.name == made["name"]
    assert key.limits["requests_per_minute"] is None
    assert key.limits["tokens_per_day"] == 10**9
    assert model in [entry.id for entry in client.models.list()]


def test_a_revoked_key_is_refused_at_once(target: Target, http: httpx2.Client, make_key: MakeKey) -> None:
    made = make_key()
    client = strict_client(target.base_url, made["value"])
    client.models.list()
    answer = http.delete(f"{KEYS}/{made['id']}")
    assert answer.json() == {"id": made["id"], "object": "api_key.deleted", "deleted": True}
    with pytest.raises(openai.AuthenticationError) as caught:
        client.models.list()
    assert "revoked" in caught.value.message
    found = listed(http, made["id"])
    assert found is not None
    assert found.revoked_at is not None
    assert http.patch(f"{KEYS}/{made['id']}", json={"name": "again"}).status_code == 409


def ask_for(client: openai.OpenAI, seconds: float) -> None:
    """Ask again and again, until one request fails."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        client.models.list()
        time.sleep(0.5)


def test_a_key_expires(target: Target, make_key: MakeKey) -> None:
    client = strict_client(target.base_url, make_key(expires_at=int(time.time()) + EXPIRES_S)["value"])
    client.models.list()
    with pytest.raises(openai.AuthenticationError) as caught:
        ask_for(client, EXPIRES_S + GIVEN_S)
    assert "expired" in caught.value.message


def test_a_rotated_key_has_another_secret(target: Target, http: httpx2.Client, make_key: MakeKey) -> None:
    made = make_key()
    turned = http.post(f"{KEYS}/{made['id']}/rotate").json()
    assert turned["id"] == made["id"]
    assert turned["value"] != made["value"]
    strict_client(target.base_url, turned["value"]).models.list()
    with pytest.raises(openai.AuthenticationError):
        strict_client(target.base_url, made["value"]).models.list()


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x", "scopes": ["root"]}, "scopes[0]"),
        ({"name": "x", "models": "all"}, "models"),
        ({"name": "x", "expires_at": 1}, "expires_at"),
        ({"name": "x", "limits": {"requests_per_minute": 0}}, "limits.requests_per_minute"),
        ({"name": "x", "limits": {"requests_per_second": 1}}, "limits.requests_per_second"),
        ({"name": "x", "owner": "me"}, "owner"),
    ],
    ids=str,
)
def test_a_wrong_wish_is_refused_by_name(http: httpx2.Client, body: dict[str, Any], param: str) -> None:
    answer = http.post(KEYS, json=body)
    assert answer.status_code == 400
    check_body("", 400, "application/json", answer.content)
    assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_an_unknown_key_is_not_found(http: httpx2.Client, method: str) -> None:
    body: Any = {"json": {"name": "x"}} if method == "PATCH" else {}
    answer = http.request(method, f"{KEYS}/key_{'0' * 24}", **body)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "api_key_not_found"


def test_everybody_may_ask_who_they_are(target: Target, make_key: MakeKey, model: str) -> None:
    made = make_key(name="somebody", models=[model], limits={"requests_per_minute": 9})
    with target.http(made["value"]) as http:
        found = http.get(f"{OWN}/auth/me").json()
    assert (found["object"], found["id"], found["name"]) == ("principal", made["id"], "somebody")
    assert (found["scopes"], found["models"]) == (["inference"], [model])
    assert found["limits"]["requests_per_minute"] == 9
    assert found["usage"]["day"] == {"requests": 0, "tokens": 0}


@pytest.mark.needs("chat")
def test_usage_is_counted_by_key(target: Target, make_key: MakeKey, model: str) -> None:
    secret = make_key()["value"]
    client = strict_client(target.base_url, secret)
    used = [client.chat.completions.create(model=model, messages=MESSAGES, max_tokens=4).usage for _ in range(2)]
    with target.http(secret) as http:
        found = http.get(f"{OWN}/auth/me").json()["usage"]["day"]
    assert found == {"requests": 2, "tokens": sum(usage.total_tokens for usage in used if usage)}


@pytest.mark.needs("chat")
def test_a_limit_of_requests_is_a_rate_limit_error(target: Target, make_key: MakeKey, model: str) -> None:
    client = strict_client(target.base_url, make_key(limits={"requests_per_minute": 1})["value"])
    asked: Any = {"model": model, "messages": MESSAGES, "max_tokens": 4}
    first = client.chat.completions.with_raw_response.create(**asked)
    assert first.headers["x-ratelimit-limit-requests"] == "1"
    assert first.headers["x-ratelimit-remaining-requests"] == "0"
    assert first.headers["x-ratelimit-reset-requests"]
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(**asked)
    error = caught.value
    assert (error.code, error.type) == ("rate_limit_exceeded", "rate_limit_error")
    assert 1 <= int(error.response.headers["retry-after"]) <= 60
    assert error.response.headers["x-ratelimit-remaining-requests"] == "0"


@pytest.mark.needs("chat")
def test_a_limit_of_tokens_is_a_rate_limit_error(target: Target, make_key: MakeKey, model: str) -> None:
    client = strict_client(target.base_url, make_key(limits={"tokens_per_minute": 10})["value"])
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model=model, messages=[{"role": "user", "content": "word " * 200}])
    assert "tokens per minute" in caught.value.message
    assert caught.value.response.headers["x-ratelimit-limit-tokens"] == "10"


@pytest.mark.needs("chat")
def test_a_quota_is_not_tried_again(target: Target, make_key: MakeKey, model: str) -> None:
    client = strict_client(target.base_url, make_key(limits={"requests_per_day": 1})["value"], max_retries=2)
    asked: Any = {"model": model, "messages": MESSAGES, "max_tokens": 4}
    client.chat.completions.create(**asked)
    began = time.monotonic()
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(**asked)
    assert caught.value.code == "insufficient_quota"
    assert time.monotonic() - began < 5
