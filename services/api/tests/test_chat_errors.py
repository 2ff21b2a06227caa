"""What POST /openai/v1/chat/completions refuses, and how it fails."""

import httpx
import openai
import pytest

from sample_backends import Broken, Empty, Picky, Reasonless, Stuck

HELLO = [{"role": "user", "content": "hello"}]


def post(url: str, **request) -> httpx.Response:
    return httpx.post(f"{url}/openai/v1/chat/completions", **request)


def refusal(client, **parameters) -> openai.BadRequestError:
    """The error that a request with these parameters raises."""
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(**{"model": "repeater", "messages": HELLO, "extra_body": parameters})
    return raised.value


def test_unknown_model(client):
    with pytest.raises(openai.NotFoundError) as raised:
        client.chat.completions.create(model="gpt-9", messages=HELLO)
    assert raised.value.body == {
        "message": "The model `gpt-9` does not exist or you do not have access to it.",
        "type": "invalid_request_error",
        "param": None,
        "code": "model_not_found",
    }


@pytest.mark.anyio
async def test_unknown_model_async(async_client):
    async with async_client:
        with pytest.raises(openai.NotFoundError):
            await async_client.chat.completions.create(model="gpt-9", messages=HELLO)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("audio", {"format": "wav", "voice": "ash"}),
        ("frequency_penalty", 0.5),
        ("function_call", "auto"),
        ("functions", [{"name": "f"}]),
        ("logit_bias", {"1": 5}),
        ("logprobs", True),
        ("metadata", {"a": "b"}),
        ("modalities", ["text", "audio"]),
        ("n", 2),
        ("n", True),
        ("parallel_tool_calls", True),
        ("prediction", {"type": "content", "content": "x"}),
        ("presence_penalty", -1),
        ("prompt_cache_key", "k"),
        ("prompt_cache_retention", "24h"),
        ("reasoning_effort", "low"),
        ("response_format", {"type": "json_object"}),
        ("safety_identifier", "s"),
        ("service_tier", "flex"),
        ("store", True),
        ("tool_choice", "required"),
        ("tools", [{"type": "function", "function": {"name": "f"}}]),
        ("top_logprobs", 3),
        ("user", "me"),
        ("verbosity", "low"),
        ("web_search_options", {}),
    ],
)
def test_unsupported_parameter_is_refused_by_name(client, name, value):
    error = refusal(client, **{name: value})
    assert (error.param, error.code) == (name, "unsupported_parameter")


@pytest.mark.parametrize(
    ("parameters", "param", "code"),
    [
        ({"temperature": 2.1}, "temperature", "invalid_value"),
        ({"temperature": "hot"}, "temperature", "invalid_type"),
        ({"top_p": -0.1}, "top_p", "invalid_value"),
        ({"max_tokens": 0}, "max_tokens", "invalid_value"),
        ({"max_completion_tokens": 1.5}, "max_completion_tokens", "invalid_type"),
        ({"max_tokens": 1, "max_completion_tokens": 1}, "max_tokens", "invalid_value"),
        ({"seed": 2**63}, "seed", "invalid_value"),
        ({"stop": ["a"] * 5}, "stop", "invalid_value"),
        ({"stop": ""}, "stop[0]", "invalid_value"),
        ({"stream_options": {"include_usage": True}}, "stream_options", "invalid_value"),
        ({"stream": "yes"}, "stream", "invalid_type"),
        ({"temprature": 1}, "temprature", "unknown_parameter"),
        ({"model": ""}, "model", "invalid_value"),
        ({"messages": []}, "messages", "invalid_value"),
        ({"messages": [{"content": "x"}]}, "messages[0].role", "missing_required_parameter"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "missing_required_parameter"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content", "invalid_type"),
        ({"messages": [{"role": "narrator", "content": "x"}]}, "messages[0].role", "invalid_value"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id", "invalid_value"),
        (
            {"messages": [{"role": "assistant", "content": "x", "tool_calls": [{"id": "c"}]}]},
            "messages[0].tool_calls",
            "unsupported_parameter",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            "messages[0].content[0].type",
            "invalid_value",
        ),
    ],
)
def test_invalid_parameter_is_refused_by_name(client, parameters, param, code):
    error = refusal(client, **parameters)
    assert (error.param, error.code) == (param, code)


def test_refusal_by_the_backend_names_the_parameter(gateway, serve, connected):
    client = connected(gateway(models={"sample": serve(Picky())}))
    with pytest.raises(openai.BadRequestError, match="this engine has no seed") as raised:
        client.chat.completions.create(model="sample", messages=HELLO)
    assert raised.value.param == "seed"


def test_missing_model_is_refused(url):
    assert post(url, json={"messages": HELLO}).json()["error"]["param"] == "model"


@pytest.mark.parametrize("content", [b"{", b'{"model": "repeater",}', b"\xff"])
def test_body_that_is_not_json_is_refused(url, content):
    response = post(url, content=content, headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["error"]["type"]) == (400, "invalid_request_error")


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b'"text"'])
def test_body_that_is_not_an_object_is_refused(url, content):
    response = post(url, content=content, headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["error"]["type"]) == (400, "invalid_request_error")


def test_announced_body_that_is_too_large_is_refused(url):
    response = post(url, content=b" " * 10_001, headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["error"]["code"]) == (413, "body_too_large")


def test_unannounced_body_that_is_too_large_is_refused(url):
    pieces = (b" " * 1000 for _ in range(11))
    response = post(url, content=pieces, headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["error"]["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("stream", [False, True])
def test_absent_backend_is_503(gateway, connected, free_tcp_port, stream):
    client = connected(gateway(models={"absent": f"127.0.0.1:{free_tcp_port}"}))
    with pytest.raises(openai.InternalServerError) as raised:
        client.chat.completions.create(model="absent", messages=HELLO, stream=stream)
    assert (raised.value.status_code, raised.value.code) == (503, "backend_unavailable")


def test_addresses_of_backends_stay_inside(gateway, free_tcp_port):
    url = gateway(models={"absent": f"127.0.0.1:{free_tcp_port}"})
    assert str(free_tcp_port) not in post(url, json={"model": "absent", "messages": HELLO}).text


def test_deadline_is_504(gateway, serve, connected):
    client = connected(gateway(models={"sample": serve(Stuck())}, request_timeout_s=0.2))
    with pytest.raises(openai.InternalServerError) as raised:
        client.chat.completions.create(model="sample", messages=HELLO)
    assert (raised.value.status_code, raised.value.code) == (504, "deadline_exceeded")


@pytest.mark.parametrize("backend", [Broken, Empty, Reasonless])
def test_failing_backend_is_500(gateway, serve, connected, backend):
    client = connected(gateway(models={"sample": serve(backend())}))
    with pytest.raises(openai.InternalServerError) as raised:
        client.chat.completions.create(model="sample", messages=HELLO)
    assert (raised.value.status_code, raised.value.code) == (500, "backend_failed")


def test_model_that_its_backend_does_not_have_is_404(gateway, serve, connected):
    client = connected(gateway(models={"other": serve(Stuck())}))
    with pytest.raises(openai.NotFoundError, match="`other`"):
        client.chat.completions.create(model="other", messages=HELLO)


def test_unknown_url_has_openais_body(url):
    response = httpx.get(f"{url}/openai/v1/nothing")
    assert (response.status_code, response.json()["error"]["message"]) == (404, "Invalid URL (GET /openai/v1/nothing)")


def test_wrong_method_has_openais_body_and_names_the_right_one(url):
    response = httpx.get(f"{url}/openai/v1/chat/completions")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert response.json()["error"]["type"] == "invalid_request_error"
