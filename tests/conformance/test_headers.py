# SPDX-License-Identifier: Apache-2.0
"""Headers of answers, health, and that both prefixes are alike."""

from __future__ import annotations

from typing import Any

import httpx2
import openai
import pytest

from conformance.ask import MESSAGES, SENTENCE
from conformance.conftest import MakeKey
from conformance.target import OPENAI, OWN, Target

pytestmark = [pytest.mark.endpoint("headers and health")]
chats = pytest.mark.needs("chat")
REQUESTS: list[Any] = [
    pytest.param("/chat/completions", {"messages": MESSAGES, "max_tokens": 4}, marks=chats, id="chat"),
    pytest.param(
        "/completions", {"prompt": SENTENCE, "max_tokens": 4}, marks=pytest.mark.needs("completion"), id="completions"
    ),
    pytest.param("/embeddings", {"input": SENTENCE}, marks=pytest.mark.needs("embedding"), id="embeddings"),
]


@chats
def test_every_answer_has_an_id_and_its_time(client: openai.OpenAI, model: str) -> None:
    raw: Any = client.chat.completions.with_raw_response.create(model=model, messages=MESSAGES, max_tokens=4)
    assert raw.request_id.startswith("req_")
    assert int(raw.headers["openai-processing-ms"]) >= 0
    assert raw.headers["openai-version"]
    assert raw.parse()._request_id == raw.request_id


@chats
def test_a_stream_has_its_headers(client: openai.OpenAI, model: str) -> None:
    with client.chat.completions.with_streaming_response.create(
        model=model, messages=MESSAGES, max_tokens=4, stream=True
    ) as raw:
        assert raw.headers["x-request-id"]
        assert raw.headers["cache-control"] == "no-cache"
        assert int(raw.headers["openai-processing-ms"]) >= 0


def test_ids_differ_and_the_callers_own_is_kept(client: openai.OpenAI) -> None:
    own = client.models.with_raw_response.list(extra_headers={"X-Request-Id": "mine-1"})
    assert own.headers["x-request-id"] == "mine-1"
    ids = {client.models.with_raw_response.list().headers["x-request-id"] for _ in range(3)}
    assert len(ids) == 3


@pytest.mark.parametrize("bad", ["has blanks", "x" * 129])
def test_a_bad_id_of_the_callers_is_replaced(client: openai.OpenAI, bad: str) -> None:
    found = client.models.with_raw_response.list(extra_headers={"X-Request-Id": bad}).headers["x-request-id"]
    assert found.startswith("req_")


def test_errors_have_an_id_too(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("no-such-model")
    assert (caught.value.request_id or "").startswith("req_")


@pytest.mark.parametrize(("path", "body"), REQUESTS)
def test_both_prefixes_answer_alike(http: httpx2.Client, model: str, path: str, body: dict[str, Any]) -> None:
    shapes = []
    for prefix in (OPENAI, OWN):
        answer = http.post(prefix + path, json={"model": model, "temperature": 0, "seed": 1, **body})
        if path == "/embeddings":
            answer = http.post(prefix + path, json={"model": model, **body})
        assert answer.status_code == 200, answer.text
        found = answer.json()
        shapes.append({name: value for name, value in found.items() if name not in ("id", "created")})
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz"])
def test_health_needs_no_key(target: Target, path: str) -> None:
    with target.http("") as http:
        answer = http.get(path)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_the_openapi_document_names_the_endpoints(http: httpx2.Client) -> None:
    paths = http.get("/openapi.json").json()["paths"]
    for path in ("/chat/completions", "/completions", "/embeddings", "/audio/transcriptions", "/models"):
        assert OPENAI + path in paths
        assert OWN + path in paths


def test_metrics_are_for_admins(target: Target, http: httpx2.Client, make_key: MakeKey) -> None:
    answer = http.get("/metrics")
    assert answer.status_code == 200
    assert "# TYPE " in answer.text
    with target.http(make_key()["value"]) as other:
        assert other.get("/metrics").status_code == 403
