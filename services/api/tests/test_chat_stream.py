# SPDX-License-Identifier: Apache-2.0
"""POST /openai/v1/chat/completions with streaming."""

import asyncio
import json
import socket
import time

import openai
import pytest

from cowabungaai_api.schemas.responses import ChatCompletionChunk
from sample_backends import Broken, Stuck
from support import ADMIN_KEY

HELLO = [{"role": "user", "content": "hello big world"}]


@pytest.fixture
def chunks(client):
    """A whole stream with usage."""
    options = {"include_usage": True}
    stream = client.chat.completions.create(model="repeater", messages=HELLO, stream=True, stream_options=options)
    return list(stream)


def test_text_comes_token_by_token(chunks):
    texts = [choice.delta.content for chunk in chunks for choice in chunk.choices if choice.delta.content]
    assert texts == ["hello", " big", " world"]


@pytest.mark.anyio
async def test_text_comes_token_by_token_async(async_client):
    async with async_client:
        stream = await async_client.chat.completions.create(model="repeater", messages=HELLO, stream=True)
        texts = [choice.delta.content async for chunk in stream for choice in chunk.choices if choice.delta.content]
    assert texts == ["hello", " big", " world"]


def test_one_id_and_time_per_stream(chunks):
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1


def test_role_comes_once_and_first(chunks):
    roles = [choice.delta.role for chunk in chunks for choice in chunk.choices]
    assert roles == ["assistant", None, None, None, None]


def test_finish_reason_comes_once_and_last(chunks):
    reasons = [choice.finish_reason for chunk in chunks for choice in chunk.choices]
    assert reasons == [None, None, None, None, "stop"]


def test_usage_is_the_last_chunk_and_without_choices(chunks):
    assert [chunk.usage is not None for chunk in chunks] == [False] * 5 + [True]
    assert (chunks[-1].choices, chunks[-1].usage.total_tokens) == ([], 6)


def test_no_usage_unless_asked_for(http):
    body = {"model": "repeater", "messages": HELLO, "stream": True}
    assert "usage" not in http.post("/openai/v1/chat/completions", json=body).text


def test_every_chunk_keeps_to_its_schema(http):
    body = {"model": "repeater", "messages": HELLO, "stream": True, "n": 2, "logprobs": True}
    events = http.post("/openai/v1/chat/completions", json=body).text.split("\n\n")
    payloads = [event.removeprefix("data: ") for event in events if event]
    assert payloads.pop() == "[DONE]"
    chunks = [ChatCompletionChunk.model_validate_json(payload) for payload in payloads]
    assert {choice.index for chunk in chunks for choice in chunk.choices} == {0, 1}


def test_each_choice_has_its_role_once_and_ends_once(client):
    stream = client.chat.completions.create(model="repeater", messages=HELLO, stream=True, n=2)
    choices = [choice for chunk in stream for choice in chunk.choices]
    for index in range(2):
        own = [choice for choice in choices if choice.index == index]
        assert "".join(choice.delta.content or "" for choice in own) == "hello big world"
        assert [choice.delta.role for choice in own].count("assistant") == 1
        assert [choice.finish_reason for choice in own if choice.finish_reason] == ["stop"]


def test_tool_call_comes_in_pieces(client):
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    stream = client.chat.completions.create(
        model="repeater", messages=HELLO, stream=True, tools=[tool], tool_choice="required"
    )
    choices = [choice for chunk in stream for choice in chunk.choices]
    pieces = [call for choice in choices for call in choice.delta.tool_calls or ()]
    assert (pieces[0].index, pieces[0].type, pieces[0].function.name) == (0, "function", "f")
    assert len({call.id for call in pieces if call.id}) == 1
    assert "".join(call.function.arguments or "" for call in pieces).startswith("{")
    assert choices[-1].finish_reason == "tool_calls"


def test_stream_is_server_sent_events_and_ends_with_done(http):
    body = {"model": "repeater", "messages": HELLO, "stream": True}
    response = http.post("/openai/v1/chat/completions", json=body)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.text.endswith("\n\ndata: [DONE]\n\n")


def test_empty_echo_has_role_and_finish_reason(client):
    messages = [{"role": "user", "content": ""}]
    stream = client.chat.completions.create(model="repeater", messages=messages, stream=True)
    assert [(chunk.choices[0].delta.role, chunk.choices[0].finish_reason) for chunk in stream] == [
        ("assistant", None),
        (None, "stop"),
    ]


def test_error_before_the_first_chunk_is_a_status(client):
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="gpt-9", messages=HELLO, stream=True)


def test_error_in_mid_stream_raises_in_the_client(start, serve):
    client = start(models={"sample": serve(Broken())}).client()
    stream = client.chat.completions.create(model="sample", messages=HELLO, stream=True)
    texts = []

    def read():
        for chunk in stream:
            texts.append(chunk.choices[0].delta.content)

    with pytest.raises(openai.APIError, match="failed while it handled the request") as raised:
        read()
    assert (texts, raised.value.code) == (["", "one"], "backend_failed")


def test_error_in_mid_stream_is_the_last_event(start, serve):
    body = {"model": "sample", "messages": HELLO, "stream": True}
    with start(models={"sample": serve(Broken())}).http() as http:
        events = http.post("/openai/v1/chat/completions", json=body).text.split("\n\n")
    assert json.loads(events[-2].removeprefix("data: "))["error"]["code"] == "backend_failed"
    assert "[DONE]" not in "".join(events)


def test_deadline_in_mid_stream_raises_in_the_client(start, serve):
    config = {
        "models": [{"name": "sample", "backend": "b"}],
        "backends": {"b": {"replicas": [serve(Stuck())], "timeout_s": 0.2}},
    }
    with start(config).client() as client:
        stream = client.chat.completions.create(model="sample", messages=HELLO, stream=True)
        with pytest.raises(openai.APIError) as raised:
            list(stream)
    assert raised.value.code == "deadline_exceeded"


@pytest.mark.parametrize("stream", [True, False])
def test_client_that_leaves_stops_the_backend_within_100_ms(start, serve, portal, stream):
    backend = Stuck()
    gateway = start(models={"sample": serve(backend)})
    body = json.dumps({"model": "sample", "messages": HELLO, "stream": stream}).encode()
    head = f"POST /openai/v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {ADMIN_KEY}\r\n"
    head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    host, port = gateway.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head.encode() + body)
        portal.call(backend.begun.wait)
        left = time.monotonic()

    async def cancelled() -> float:
        await asyncio.wait_for(backend.cancelled.wait(), 2)
        return time.monotonic() - left

    assert portal.call(cancelled) < 0.1
