"""POST /openai/v1/chat/completions with streaming."""

import asyncio

import httpx
import openai
import pytest

from sample_backends import Broken, Stuck

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


def test_no_usage_unless_asked_for(url):
    body = {"model": "repeater", "messages": HELLO, "stream": True}
    assert "usage" not in httpx.post(f"{url}/openai/v1/chat/completions", json=body).text


def test_stream_is_server_sent_events_and_ends_with_done(url):
    body = {"model": "repeater", "messages": HELLO, "stream": True}
    response = httpx.post(f"{url}/openai/v1/chat/completions", json=body)
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


def test_error_in_mid_stream_raises_in_the_client(gateway, serve, connected):
    client = connected(gateway(models={"sample": serve(Broken())}))
    stream = client.chat.completions.create(model="sample", messages=HELLO, stream=True)
    texts = []

    def read():
        for chunk in stream:
            texts.append(chunk.choices[0].delta.content)

    with pytest.raises(openai.APIError, match="failed while it handled the request") as raised:
        read()
    assert (texts, raised.value.code) == (["", "one"], "backend_failed")


def test_error_in_mid_stream_is_the_last_event(gateway, serve):
    url = gateway(models={"sample": serve(Broken())})
    body = {"model": "sample", "messages": HELLO, "stream": True}
    assert "[DONE]" not in httpx.post(f"{url}/openai/v1/chat/completions", json=body).text


def test_deadline_in_mid_stream_raises_in_the_client(gateway, serve, connected):
    client = connected(gateway(models={"sample": serve(Stuck())}, request_timeout_s=0.2))
    stream = client.chat.completions.create(model="sample", messages=HELLO, stream=True)
    with pytest.raises(openai.APIError) as raised:
        list(stream)
    assert raised.value.code == "deadline_exceeded"


def test_leaving_a_stream_stops_the_backend(gateway, serve, connected, portal):
    backend = Stuck()
    client = connected(gateway(models={"sample": serve(backend)}))
    stream = client.chat.completions.create(model="sample", messages=HELLO, stream=True)
    next(stream)
    stream.close()

    async def cancelled() -> None:
        await asyncio.wait_for(backend.cancelled.wait(), 1)

    portal.call(cancelled)
