# SPDX-License-Identifier: Apache-2.0
"""Models, their states, and those of backends."""

import openai
import pytest

from support import ADMIN_KEY

NAMES = ["repeater", "gpt-test", "echo/latest"]


def test_models_are_listed_in_order_with_aliases(client):
    assert [model.id for model in client.models.list()] == NAMES


@pytest.mark.anyio
async def test_models_are_listed_async(async_client):
    async with async_client:
        assert [model.id async for model in async_client.models.list()] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_backend_describes_its_model(client, name):
    model = client.models.retrieve(name)
    assert (model.id, model.object, model.created, model.owned_by) == (name, "model", 1_735_689_600, "cowabungaai")


def test_unknown_model_is_404(client):
    with pytest.raises(openai.NotFoundError) as raised:
        client.models.retrieve("none")
    assert raised.value.code == "model_not_found"


def test_model_of_an_absent_backend_is_listed(start, free_tcp_port):
    with start(models={"absent": f"127.0.0.1:{free_tcp_port}"}).client() as client:
        model = client.models.list().data[0]
    assert (model.id, model.created > 1_700_000_000) == ("absent", True)


def test_state_of_a_model(http):
    states = http.get("/cowabungaai/v1/states/models").json()["data"]
    assert [state["id"] for state in states] == ["repeater", "echo/latest"]
    assert (states[0]["state"], states[0]["aliases"]) == ("ready", ["gpt-test"])
    assert {"chat", "completion", "embedding", "transcription"} <= set(states[0]["capabilities"])


def test_state_of_an_absent_backend(start, free_tcp_port):
    address = f"127.0.0.1:{free_tcp_port}"
    with start(models={"absent": address}).http() as http:
        http.post("/openai/v1/embeddings", json={"model": "absent", "input": "x"})
        backend = http.get("/cowabungaai/v1/states/backends").json()["data"][0]
        model = http.get("/cowabungaai/v1/states/models").json()["data"][0]
    assert (backend["ready"], backend["models"], model["state"]) == (False, ["absent"], "unavailable")
    assert backend["replicas"][0]["address"] == f"grpc://{address}"


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz"])
def test_gateway_is_healthy_without_its_backends_and_without_a_key(start, free_tcp_port, path):
    with start(models={"absent": f"127.0.0.1:{free_tcp_port}"}).http(key=None) as http:
        response = http.get(path)
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_gateway_that_stops_is_not_ready(start, repeater):
    gateway = start(models={"a": repeater})
    gateway.state.draining = True
    with gateway.http() as http:
        assert http.get("/readyz").status_code == 503
        assert http.get("/livez").status_code == 200
        answer = http.get("/openai/v1/models")
    assert (answer.status_code, answer.headers["connection"]) == (200, "close")


def test_metrics_need_an_admin_key(http, gateway):
    text = http.get("/metrics").text
    assert "cowabungaai_api_requests_total" in text
    assert 'cowabungaai_api_replica_state{backend="' in text
    with gateway.http(key=None) as stranger:
        assert stranger.get("/metrics").status_code == 401
    made = http.post("/cowabungaai/v1/auth/api-keys", json={"name": "of a user", "scopes": ["inference"]}).json()
    with gateway.http(key=made["value"]) as user:
        answer = user.get("/metrics")
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "insufficient_permissions"


def test_metrics_may_be_public(start, repeater):
    with start(models={"a": repeater}, public_metrics=True).http(key=None) as stranger:
        assert stranger.get("/metrics").status_code == 200


def test_metrics_count_what_happened(start, repeater):
    with start(models={"counted": repeater}).http() as http:
        for stream in (False, True):
            messages = [{"role": "user", "content": "a b c"}]
            body = {"model": "counted", "messages": messages, "stream": stream}
            assert http.post("/openai/v1/chat/completions", json=body, headers={}).status_code == 404
        text = http.get("/metrics").text
    assert 'cowabungaai_api_requests_total{endpoint="chat/completions",model="counted",status="404"} 2.0' in text


def test_unknown_models_do_not_become_labels(start, repeater):
    with start(models={"a": repeater}).http() as http:
        http.post("/openai/v1/embeddings", json={"model": "made-up", "input": "x"})
        assert "made-up" not in http.get("/metrics").text


def test_openapi_document_names_the_routes(http):
    paths = http.get("/openapi.json").json()["paths"]
    for prefix in ("/openai/v1", "/cowabungaai/v1"):
        for path in (
            "models",
            "models/{model}",
            "chat/completions",
            "completions",
            "embeddings",
            "audio/transcriptions",
            "audio/translations",
        ):
            assert f"{prefix}/{path}" in paths
    assert {"/cowabungaai/v1/tokens/count", "/cowabungaai/v1/auth/api-keys", "/readyz"} <= set(paths)


def test_secret_is_nowhere_in_the_metrics(http):
    assert ADMIN_KEY not in http.get("/metrics").text
