"""GET /openai/v1/models and /healthz."""

import httpx
import pytest


def test_models_are_listed_in_order(client):
    assert [model.id for model in client.models.list()] == ["repeater", "echo/latest"]


@pytest.mark.anyio
async def test_models_are_listed_async(async_client):
    async with async_client:
        assert [model.id async for model in async_client.models.list()] == ["repeater", "echo/latest"]


def test_backend_describes_its_model(client):
    model = client.models.list().data[0]
    assert (model.object, model.created, model.owned_by) == ("model", 1_735_689_600, "cowabungaai")


def test_model_of_an_absent_backend_is_listed(gateway, connected, free_tcp_port):
    url = gateway(models={"absent": f"127.0.0.1:{free_tcp_port}"})
    model = connected(url).models.list().data[0]
    assert (model.id, model.created > 1_700_000_000) == ("absent", True)


def test_gateway_is_healthy_without_its_backends(gateway, free_tcp_port):
    url = gateway(models={"absent": f"127.0.0.1:{free_tcp_port}"})
    response = httpx.get(f"{url}/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_openapi_document_names_the_routes(url):
    assert set(httpx.get(f"{url}/openapi.json").json()["paths"]) == {
        "/healthz",
        "/openai/v1/models",
        "/openai/v1/chat/completions",
    }
