# SPDX-License-Identifier: Apache-2.0
"""What chat/completions refuses, and how it fails."""

import httpx
import openai
import pytest

from sample_backends import Broken, Empty, Picky, Reasonless, Stuck
from support import ADMIN_KEY, Gateway

HELLO = [{"role": "user", "content": "hello"}]
PATH = "/openai/v1/chat/completions"
TOOL = {"type": "function", "function": {"name": "f"}}


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
        "param": "model",
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
        ("function_call", "auto"),
        ("functions", [{"name": "f"}]),
        ("metadata", {"a": "b"}),
        ("modalities", ["text", "audio"]),
        ("prediction", {"type": "content", "content": "x"}),
        ("prompt_cache_retention", "24h"),
        ("service_tier", "flex"),
        ("store", True),
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
        ({"frequency_penalty": 3}, "frequency_penalty", "invalid_value"),
        ({"logit_bias": {"a": 1}}, "logit_bias.a", "invalid_value"),
        ({"logit_bias": {"1": 101}}, "logit_bias.1", "invalid_value"),
        ({"n": 0}, "n", "invalid_value"),
        ({"n": True}, "n", "invalid_type"),
        ({"max_tokens": 0}, "max_tokens", "invalid_value"),
        ({"max_completion_tokens": 1.5}, "max_completion_tokens", "invalid_type"),
        ({"max_tokens": 1, "max_completion_tokens": 1}, "max_tokens", "invalid_value"),
        ({"seed": 2**63}, "seed", "invalid_value"),
        ({"stop": ["a"] * 5}, "stop", "invalid_value"),
        ({"stop": ""}, "stop", "invalid_value"),
        ({"stop": 5}, "stop", "invalid_type"),
        ({"stream_options": {"include_usage": True}}, "stream_options", "invalid_value"),
        (
            {"stream": True, "stream_options": {"include_obfuscation": True}},
            "stream_options.include_obfuscation",
            "invalid_value",
        ),
        ({"stream": True, "stream_options": {"usage": True}}, "stream_options.usage", "unknown_parameter"),
        ({"stream": "yes"}, "stream", "invalid_type"),
        ({"top_logprobs": 3}, "top_logprobs", "invalid_value"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "invalid_value"),
        ({"user": "a", "safety_identifier": "b"}, "user", "invalid_value"),
        ({"reasoning_effort": "extreme"}, "reasoning_effort", "invalid_value"),
        ({"temprature": 1}, "temprature", "unknown_parameter"),
        ({"model": ""}, "model", "invalid_value"),
        ({"messages": []}, "messages", "invalid_value"),
        ({"messages": [{"content": "x"}]}, "messages[0].role", "missing_required_parameter"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "missing_required_parameter"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content", "invalid_type"),
        (
            {"messages": [{"role": "user", "content": "x", "tool_call_id": "y"}]},
            "messages[0].tool_call_id",
            "unknown_parameter",
        ),
        ({"messages": [{"role": "narrator", "content": "x"}]}, "messages[0].role", "invalid_value"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id", "missing_required_parameter"),
        ({"messages": [{"role": "assistant"}]}, "messages[0].content", "invalid_value"),
        (
            {"messages": [{"role": "assistant", "content": "x", "tool_calls": [{"id": "c", "type": "function"}]}]},
            "messages[0].tool_calls[0].function",
            "missing_required_parameter",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://a/b"}}]}]},
            "messages[0].content[0].image_url.url",
            "invalid_value",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "input_audio", "input_audio": {"data": "!", "format": "wav"}}],
                    }
                ]
            },
            "messages[0].content[0].input_audio.data",
            "invalid_base64",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "video"}]}]},
            "messages[0].content[0].type",
            "invalid_value",
        ),
        (
            {"messages": [{"role": "user", "content": [{"text": "x"}]}]},
            "messages[0].content[0].type",
            "missing_required_parameter",
        ),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name", "invalid_value"),
        ({"tools": [{"type": "custom", "custom": {"name": "a"}}]}, "tools[0].type", "invalid_value"),
        ({"tools": [TOOL, TOOL]}, "tools", "invalid_value"),
        ({"tool_choice": "required"}, "tool_choice", "invalid_value"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "g"}}},
            "tool_choice",
            "invalid_value",
        ),
        ({"tools": [TOOL], "tool_choice": "always"}, "tool_choice", "invalid_value"),
        ({"response_format": {"type": "xml"}}, "response_format.type", "invalid_value"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "missing_required_parameter"),
    ],
)
def test_invalid_parameter_is_refused_by_name(client, parameters, param, code):
    error = refusal(client, **parameters)
    assert (error.param, error.code) == (param, code)


def test_refusal_by_the_backend_names_the_parameter(start, serve):
    with (
        start(models={"sample": serve(Picky())}).client() as client,
        pytest.raises(openai.BadRequestError, match="this engine has no seed") as raised,
    ):
        client.chat.completions.create(model="sample", messages=HELLO)
    assert raised.value.param == "seed"


def test_missing_model_is_refused(http):
    assert http.post(PATH, json={"messages": HELLO}).json()["error"]["param"] == "model"


@pytest.mark.parametrize("content", [b"{", b'{"model": "repeater",}', b"\xff", b""])
def test_body_that_is_not_json_is_refused(http, content):
    response = http.post(PATH, content=content, headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_json")


@pytest.mark.parametrize("content", [b"[]", b"null", b'"text"', b"5"])
def test_body_that_is_not_an_object_is_refused(http, content):
    response = http.post(PATH, content=content, headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["error"]["type"]) == (400, "invalid_request_error")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_body_of_another_type_is_415(http, kind):
    response = http.post(PATH, content=b"{}", headers={"content-type": kind})
    assert (response.status_code, response.json()["error"]["code"]) == (415, "unsupported_media_type")


def test_announced_body_that_is_too_large_is_refused(http):
    response = http.post(PATH, content=b" " * 100_001, headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["error"]["code"]) == (413, "body_too_large")


def test_unannounced_body_that_is_too_large_is_refused(http):
    pieces = (b" " * 10_000 for _ in range(11))
    response = http.post(PATH, content=pieces, headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["error"]["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("stream", [False, True])
def test_absent_backend_is_503(start, free_tcp_port, stream):
    with (
        start(models={"absent": f"127.0.0.1:{free_tcp_port}"}).client() as client,
        pytest.raises(openai.InternalServerError) as raised,
    ):
        client.chat.completions.create(model="absent", messages=HELLO, stream=stream)
    assert (raised.value.status_code, raised.value.code) == (503, "backend_unavailable")
    assert "retry-after" in raised.value.response.headers


def test_addresses_of_backends_stay_inside(start, free_tcp_port):
    with start(models={"absent": f"127.0.0.1:{free_tcp_port}"}).http() as http:
        assert str(free_tcp_port) not in http.post(PATH, json={"model": "absent", "messages": HELLO}).text


def test_deadline_is_504(start, serve):
    backends = {"b": {"replicas": [serve(Stuck())], "timeout_s": 0.2}}
    with (
        start({"models": [{"name": "sample", "backend": "b"}], "backends": backends}).client() as client,
        pytest.raises(openai.InternalServerError) as raised,
    ):
        client.chat.completions.create(model="sample", messages=HELLO)
    assert (raised.value.status_code, raised.value.code) == (504, "deadline_exceeded")


@pytest.mark.parametrize("backend", [Broken, Empty, Reasonless])
def test_failing_backend_is_500(start, serve, backend):
    with (
        start(models={"sample": serve(backend())}).client() as client,
        pytest.raises(openai.InternalServerError) as raised,
    ):
        client.chat.completions.create(model="sample", messages=HELLO)
    assert (raised.value.status_code, raised.value.code) == (500, "backend_failed")


def test_model_that_its_backend_does_not_have_is_404(start, serve):
    with (
        start(models={"other": serve(Stuck())}).client() as client,
        pytest.raises(openai.NotFoundError, match="`other`"),
    ):
        client.chat.completions.create(model="other", messages=HELLO)


def test_capability_that_its_backend_does_not_have_is_400(start, serve):
    with (
        start(models={"sample": serve(Stuck())}).client() as client,
        pytest.raises(openai.BadRequestError) as raised,
    ):
        client.embeddings.create(model="sample", input="x")
    assert raised.value.code == "unsupported_operation"


def test_full_backend_is_429_with_retry_after(start, serve):
    backends = {"b": {"replicas": [serve(Stuck())], "concurrency": 1, "queue": 0}}
    gateway: Gateway = start({"models": [{"name": "sample", "backend": "b"}], "backends": backends})
    with gateway.client() as client:
        stream = client.chat.completions.create(model="sample", messages=HELLO, stream=True)
        next(stream)
        with pytest.raises(openai.RateLimitError) as raised:
            client.chat.completions.create(model="sample", messages=HELLO)
        stream.close()
    assert raised.value.code == "server_overloaded"
    assert int(raised.value.response.headers["retry-after"]) >= 1


def test_unknown_url_has_openais_body(http):
    response = http.get("/openai/v1/nothing")
    assert (response.status_code, response.json()["error"]["message"]) == (404, "Invalid URL (GET /openai/v1/nothing)")


def test_wrong_method_has_openais_body_and_names_the_right_one(http):
    response = http.get(PATH)
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert response.json()["error"]["type"] == "invalid_request_error"


def test_every_answer_has_a_request_id(http):
    answers = [http.get("/openai/v1/models"), http.post(PATH, json={}), http.get("/openai/v1/none")]
    ids = {answer.headers["x-request-id"] for answer in answers}
    assert len(ids) == 3
    assert all("openai-processing-ms" in answer.headers for answer in answers)


def test_request_id_of_the_client_is_kept(http):
    assert http.get("/openai/v1/models", headers={"x-request-id": "mine-1"}).headers["x-request-id"] == "mine-1"
    assert http.get("/openai/v1/models", headers={"x-request-id": "no good"}).headers["x-request-id"] != "no good"


@pytest.mark.parametrize(
    "path", ["/openai/v1/models", PATH, "/openapi.json", "/cowabungaai/v1/states/backends", "/none", "/metrics"]
)
@pytest.mark.parametrize("header", [None, "Bearer wrong", f"Basic {ADMIN_KEY}", ADMIN_KEY])
def test_nothing_is_answered_without_a_key(gateway, path, header):
    headers = {"authorization": header} if header else {}
    answer = httpx.get(gateway.url + path, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
    assert answer.headers["www-authenticate"] == "Bearer"
