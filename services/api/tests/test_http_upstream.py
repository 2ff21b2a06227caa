# SPDX-License-Identifier: Apache-2.0
"""Replicas that speak OpenAI's API themselves: another gateway, which is a real one."""

import io
import time
import wave
from collections.abc import AsyncGenerator

import openai
import orjson
import pytest

from cowabungaai_api.config.file import Backend
from cowabungaai_api.config.load import ConfigError
from cowabungaai_api.errors import ApiError
from cowabungaai_api.operations.audio import Transcription
from cowabungaai_api.operations.chat import Chat
from cowabungaai_api.routing.connect import connector
from cowabungaai_api.upstream.base import Call, Upload
from cowabungaai_api.upstream.http import HttpUpstream
from cowabungaai_sdk.errors import (
    BackendError,
    BackendFailedError,
    BackendOverloadedError,
    BackendUnavailableError,
    InvalidRequestError,
    UnsupportedError,
)
from support import ADMIN_KEY
from test_http_client import Server

HELLO = [{"role": "user", "content": "hello big world"}]


@pytest.fixture(params=["same name", "another name"])
def proxy(request, start, gateway, monkeypatch):
    """The official client of a gateway in front of `gateway`."""
    monkeypatch.setenv("TEST_UPSTREAM_KEY", ADMIN_KEY)
    name = "repeater" if request.param == "same name" else "model"
    backend = {
        "replicas": [f"{gateway.url}/openai/v1"],
        "api_key_env": "TEST_UPSTREAM_KEY",
        "health": {"path": "/healthz"},
        "extra_parameters": ["guided_json"],
    }
    models = [{"name": name, "backend": "http", "backend_model": "repeater"}]
    with start({"models": models, "backends": {"http": backend}}).client() as client:
        client.model = name
        yield client


def test_chat(proxy):
    answer = proxy.chat.completions.create(model=proxy.model, messages=HELLO)
    assert (answer.model, answer.choices[0].message.content) == (proxy.model, "hello big world")


@pytest.mark.parametrize("include_usage", [True, False])
def test_chat_stream(proxy, include_usage):
    options = {"stream_options": {"include_usage": True}} if include_usage else {}
    chunks = list(proxy.chat.completions.create(model=proxy.model, messages=HELLO, stream=True, **options))
    assert "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices) == "hello big world"
    assert {chunk.model for chunk in chunks} == {proxy.model}
    assert [chunk.usage is not None for chunk in chunks][-1] is include_usage
    assert all(chunk.choices for chunk in chunks[:-1])


def test_usage_of_streams_is_counted_also_where_nobody_asks(start, gateway, monkeypatch):
    monkeypatch.setenv("TEST_UPSTREAM_KEY", ADMIN_KEY)
    backend = {"replicas": [f"{gateway.url}/openai/v1"], "api_key_env": "TEST_UPSTREAM_KEY"}
    config = {"models": [{"name": "repeater", "backend": "http"}], "backends": {"http": backend}}
    front = start(config)
    with front.client() as client, front.http() as http:
        list(client.chat.completions.create(model="repeater", messages=HELLO, stream=True))
        text = http.get("/metrics").text
    assert 'cowabungaai_api_tokens_total{kind="completion",model="repeater"} 3.0' in text


def test_completion_and_embedding(proxy):
    assert proxy.completions.create(model=proxy.model, prompt="a b").choices[0].text == "a b"
    assert len(proxy.embeddings.create(model=proxy.model, input=["a", "b"]).data) == 2


def test_form_is_passed_on(proxy):
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"\0\0" * 8000)
    answer = proxy.audio.transcriptions.create(
        model=proxy.model,
        file=('ten "seconds".wav', out.getvalue()),
        response_format="verbose_json",
        timestamp_granularities=["word"],
    )
    assert (answer.duration, len(answer.words) > 0) == (1.0, True)


def test_refusal_keeps_its_parameter_and_message(proxy):
    with pytest.raises(openai.BadRequestError, match="unknown control") as raised:
        proxy.chat.completions.create(model=proxy.model, messages=[{"role": "user", "content": "/repeat colour=red"}])
    assert raised.value.param == "messages"


@pytest.mark.parametrize(
    ("control", "status"), [("failed", 500), ("unavailable", 503), ("overloaded", 429), ("crash", 500)]
)
def test_error_keeps_its_class(proxy, control, status):
    with pytest.raises(openai.APIStatusError) as raised:
        proxy.chat.completions.create(
            model=proxy.model, messages=[{"role": "user", "content": f"/repeat error={control}"}]
        )
    assert raised.value.status_code == status


def test_error_in_mid_stream_raises(proxy):
    messages = [{"role": "user", "content": "/repeat error=failed after=2\na b c d"}]
    stream = proxy.chat.completions.create(model=proxy.model, messages=messages, stream=True)
    with pytest.raises(openai.APIError):
        list(stream)


def test_extra_parameters_only_where_the_configuration_has_them(proxy):
    with pytest.raises(openai.BadRequestError) as raised:
        proxy.chat.completions.create(model=proxy.model, messages=HELLO, extra_body={"best_effort": True})
    assert raised.value.param == "best_effort"
    with pytest.raises(openai.BadRequestError, match="guided_json") as raised:
        # It is passed on, and the gateway behind, whose backend is not configured so, refuses it.
        proxy.chat.completions.create(model=proxy.model, messages=HELLO, extra_body={"guided_json": {}})


def test_endpoint_that_the_server_does_not_have_is_refused(start, gateway, monkeypatch):
    monkeypatch.setenv("TEST_UPSTREAM_KEY", ADMIN_KEY)
    backend = {"replicas": [f"{gateway.url}/openai/v1"], "api_key_env": "TEST_UPSTREAM_KEY"}
    with start({"models": [{"name": "repeater", "backend": "b"}], "backends": {"b": backend}}).http() as http:
        answer = http.post("/cowabungaai/v1/tokens/count", json={"model": "repeater", "text": "a"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unsupported_operation")


def test_wrong_key_at_the_backend_is_the_gateways_fault(start, gateway, monkeypatch):
    monkeypatch.setenv("TEST_UPSTREAM_KEY", "wrong")
    backend = {"replicas": [f"{gateway.url}/openai/v1"], "api_key_env": "TEST_UPSTREAM_KEY"}
    with (
        start({"models": [{"name": "repeater", "backend": "b"}], "backends": {"b": backend}}).client() as client,
        pytest.raises(openai.InternalServerError) as raised,
    ):
        client.chat.completions.create(model="repeater", messages=HELLO)
    assert (raised.value.status_code, raised.value.code) == (500, "backend_failed")


# What a server says is not to be trusted: below, one says what each test needs.

DELTA = b'data: {"model":"m","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
DONE = b"data: [DONE]\n\n"
OPEN = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def reply(body: object, status: str = "200 OK", kind: str = "application/json", extra: str = "") -> bytes:
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\n{extra}content-length: {len(data)}\r\n\r\n"
    return head.encode() + data


def chat(body: bytes = b"", **more: object) -> Call:
    value = {"model": "m", "messages": [{"role": "user", "content": "secret"}], **more}
    return Call(body or orjson.dumps(value), value, Chat.request.model_validate(value), timeout_s=5)


def transcription(**fields: object) -> Call:
    value = {"model": "m", **fields}
    upload = Upload("a.wav", "audio/wav", b"abc")
    return Call(b"", value, Transcription.request.model_validate(value), upload, timeout_s=5)


@pytest.fixture
async def upstream() -> AsyncGenerator[HttpUpstream, None]:
    """An upstream whose server answers with `upstream.server.answers`."""
    async with Server() as server:
        found = HttpUpstream(f"http://127.0.0.1:{server.port}/v1", None, "/health", 1.0)
        found.server = server
        yield found
        await found.close()


async def unary(upstream: HttpUpstream, answer: bytes, call: Call | None = None) -> dict[str, object]:
    upstream.server.answers = [answer]
    return orjson.loads((await upstream.unary(Chat(), call or chat(), "m")).body)


async def stream(upstream: HttpUpstream, answer: bytes, operation: object = None, call: Call | None = None) -> bytes:
    upstream.server.answers = [answer]
    call = call or chat(stream=True)
    return b"".join([piece async for piece in upstream.stream(operation or Chat(), call, "m")])


@pytest.mark.anyio
@pytest.mark.parametrize("left", [b"", b"5\r\n"], ids=["open", "within a chunk"])
async def test_stream_is_whole_with_done_although_the_body_does_not_end(upstream, left):
    start = time.perf_counter()
    assert await stream(upstream, OPEN + chunk(DELTA + DONE) + left) == DELTA
    assert time.perf_counter() - start < 1


@pytest.mark.anyio
async def test_stream_is_whole_with_done_although_the_connection_breaks(upstream):
    upstream.server.answers = [OPEN + chunk(DELTA + DONE)]
    out = b""
    async for piece in upstream.stream(Chat(), chat(stream=True), "m"):
        out += piece
        upstream.server.break_off()
    assert out == DELTA


@pytest.mark.anyio
async def test_last_event_may_lack_its_newline(upstream):
    assert await stream(upstream, OPEN + chunk(DELTA) + chunk(DONE.strip()) + END) == DELTA


@pytest.mark.anyio
async def test_stream_without_done_is_a_failure(upstream):
    with pytest.raises(BackendFailedError, match="without its last event"):
        await stream(upstream, OPEN + chunk(DELTA) + END)


@pytest.mark.anyio
@pytest.mark.parametrize("answer", [reply({"choices": []}), reply(DELTA + DONE, kind="text/html")])
async def test_stream_of_another_type_is_a_failure(upstream, answer):
    with pytest.raises(BackendFailedError, match="not with events"):
        await stream(upstream, answer)


@pytest.mark.anyio
@pytest.mark.parametrize("complete", [True, False])
async def test_transcript_must_have_its_last_event(upstream, complete):
    events = b'data: {"type":"transcript.text.delta","delta":"a"}\n\n'
    events += b'data: {"type":"transcript.text.done","text":"a"}\n\n' if complete else b""
    answer = stream(upstream, OPEN + chunk(events) + END, Transcription(), transcription(stream=True))
    if complete:
        assert await answer == events
    else:
        with pytest.raises(BackendFailedError, match="without its last event"):
            await answer


@pytest.mark.anyio
async def test_error_in_a_stream_after_comments_comes_before_anything_else(upstream):
    error = b'data: {"error":{"message":"too long","code":400,"param":"messages"}}\n\n'
    pieces = []
    upstream.server.answers = [OPEN + chunk(b": ping\n\n") + chunk(error) + END]
    with pytest.raises(InvalidRequestError, match="too long") as raised:
        pieces += [piece async for piece in upstream.stream(Chat(), chat(stream=True), "m")]
    assert (pieces, raised.value.param) == ([], "messages")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"error": {"message": "secret", "param": 5, "code": 400}}, InvalidRequestError),
        (422, {"detail": [{"loc": ["body"], "msg": "secret"}]}, InvalidRequestError),
        (400, {"error": "secret"}, InvalidRequestError),
        (413, {"error": {"message": "secret"}}, ApiError),
        (404, {"detail": "Not Found"}, UnsupportedError),
        (404, {"error": {"message": "secret", "type": "NotFoundError", "code": 404}}, BackendFailedError),
        (404, {"object": "error", "message": "secret", "type": "NotFoundError", "code": 404}, BackendFailedError),
        (404, {"error": {"message": "secret", "param": "model"}}, BackendFailedError),
        (404, {"error": {"message": "secret", "code": "model_not_found"}}, BackendFailedError),
        (429, {"error": {"message": "secret"}}, BackendOverloadedError),
        (503, ["secret"], BackendUnavailableError),
        (500, {"error": {"message": "failed on: secret", "type": "secret text"}}, BackendFailedError),
        (401, {"error": {"message": "secret"}}, BackendFailedError),
        (403, {"error": ["secret"]}, BackendFailedError),
        (302, b"<a>secret</a>", BackendFailedError),
    ],
)
async def test_refusals_have_their_class_and_keep_texts_from_the_log(upstream, status, body, kind):
    with pytest.raises((BackendError, ApiError)) as raised:
        await unary(upstream, reply(body, f"{status} X"))
    assert type(raised.value) is kind
    if kind is InvalidRequestError:
        assert (str(raised.value), raised.value.param, raised.value.code_name) == ("secret", None, None)
    elif kind is not ApiError:
        assert "secret" not in str(raised.value)
        assert str(status) in str(raised.value)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<html>login</html>", "text/html"),
        (b'{"text":"a"}', "text/html"),
        (b"<html>", "application/json"),
        (b"[1]", "application/json"),
    ],
)
@pytest.mark.parametrize(
    ("operation", "call"),
    [(Chat(), chat()), *((Transcription(), transcription(response_format=name)) for name in ("json", "verbose_json"))],
    ids=["chat", "json", "verbose_json"],
)
async def test_answer_that_is_no_object_is_a_failure(upstream, body, kind, operation, call):
    upstream.server.answers = [reply(body, kind=kind)]
    with pytest.raises(BackendFailedError, match="answered"):
        await upstream.unary(operation, call, "m")


@pytest.mark.anyio
async def test_transcript_in_another_format_is_passed_on_as_it_is(upstream):
    upstream.server.answers = [reply(b"1\n00:00", kind="text/plain")]
    answer = await upstream.unary(Transcription(), transcription(response_format="srt"), "m")
    assert (answer.body, answer.content_type) == (b"1\n00:00", b"text/plain")


@pytest.mark.anyio
@pytest.mark.parametrize("said", ["m", "/models/secret.gguf", None, 5])
async def test_model_of_an_answer_is_the_clients(upstream, said):
    assert (await unary(upstream, reply({"model": said, "choices": []})))["model"] == "m"


@pytest.mark.anyio
@pytest.mark.parametrize("usage", ["5", [1], {"prompt_tokens": "5"}, {"prompt_tokens": -1}])
async def test_usage_that_is_none_is_left_out(upstream, usage):
    call = chat()
    await unary(upstream, reply({"model": "m", "usage": usage}), call)
    assert (call.use.prompt, call.use.completion) == (0, 0)


@pytest.mark.parametrize("streamed", [{}, {"stream": True, "stream_options": {"include_usage": True}}])
def test_key_that_stands_twice_is_sent_once(streamed):
    call = chat(b'{"model":"forbidden","model":"m","messages":[]}', **streamed)
    sent = HttpUpstream("http://a/v1", None, "/", 1.0)._post(Chat(), call, "m")[-1]
    assert sent.count(b'"model"') == 1
    assert orjson.loads(sent) == call.value


def test_body_nested_too_deeply_is_the_clients_mistake():
    deep: dict[str, object] = {}
    for _ in range(300):
        deep = {"a": deep}
    call = chat(b"{}", guided_json=deep)
    with pytest.raises(InvalidRequestError, match="nested too deeply"):
        HttpUpstream("http://a/v1", None, "/", 1.0)._post(Chat(), call, "m")


@pytest.mark.parametrize("key", ["", " \n", "a b", "a\r\nx: y", "schlüssel", "a\x7f"])
def test_key_that_cannot_stand_in_a_header_is_refused_and_not_told(key):
    with pytest.raises(ValueError, match="printable ASCII") as raised:
        HttpUpstream("http://a/v1", key, "/", 1.0)
    assert not key.strip() or key not in str(raised.value)


def test_key_is_stripped():
    head = HttpUpstream("http://a/v1", "abc\n", "/", 1.0)._get("/")[1]
    assert b"authorization: Bearer abc\r\n" in head


@pytest.mark.anyio
@pytest.mark.parametrize("body", [[1], {"data": [1]}, {"data": [{"id": 5}]}, {"data": [{"id": "m", "created": 1e300}]}])
async def test_list_of_models_that_is_none_is_a_failure(upstream, body):
    upstream.server.answers = [reply(body)]
    with pytest.raises(BackendFailedError, match="does not list its models"):
        await upstream.models(1)


@pytest.mark.parametrize(
    ("content", "message"), [(None, "cannot be read"), ("", "the key is empty"), ("a b", "no header can hold")]
)
def test_key_file_is_checked_at_start(tmp_path, content, message):
    path = tmp_path / "key"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=message):
        connector("b", Backend(replicas=("http://a/v1",), api_key_file=str(path)))
