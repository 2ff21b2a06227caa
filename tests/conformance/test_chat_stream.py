# SPDX-License-Identifier: Apache-2.0
"""chat/completions: streams."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import openai
import pytest

from conformance.ask import MESSAGES, check_chat, check_usage, events, joined
from conformance.target import OPENAI, OWN

pytestmark = [pytest.mark.endpoint("chat/completions, stream"), pytest.mark.needs("chat")]
LIMITED: Any = {"messages": MESSAGES, "max_tokens": 12, "temperature": 0, "seed": 1}
WITH_USAGE: Any = {"stream": True, "stream_options": {"include_usage": True}}


def test_the_pieces_are_the_whole_answer(client: openai.OpenAI, model: str) -> None:
    whole = client.chat.completions.create(model=model, **LIMITED)
    chunks = list(client.chat.completions.create(model=model, stream=True, **LIMITED))
    assert joined(chunks) == check_chat(whole, model)
    assert len([chunk for chunk in chunks if joined([chunk])]) > 1


def test_all_chunks_have_the_same_frame(client: openai.OpenAI, model: str) -> None:
    chunks = list(client.chat.completions.create(model=model, **WITH_USAGE, **LIMITED))
    assert len({(chunk.id, chunk.created, chunk.model, chunk.system_fingerprint) for chunk in chunks}) == 1
    assert chunks[0].id
    assert chunks[0].created > 1_500_000_000
    assert chunks[0].model == model


@pytest.mark.parametrize("n", [1, 3])
def test_the_role_comes_once_and_first_and_the_reason_last(client: openai.OpenAI, model: str, n: int) -> None:
    chunks = list(client.chat.completions.create(model=model, stream=True, n=n, **LIMITED))
    for index in range(n):
        pieces = [choice for chunk in chunks for choice in chunk.choices if choice.index == index]
        assert [piece.delta.role for piece in pieces] == ["assistant"] + [None] * (len(pieces) - 1)
        assert [piece.finish_reason for piece in pieces[:-1]] == [None] * (len(pieces) - 1)
        assert pieces[-1].finish_reason in ("stop", "length")
        assert joined(chunks, index)


def test_usage_comes_at_the_end_where_it_is_asked_for(client: openai.OpenAI, model: str) -> None:
    whole = client.chat.completions.create(model=model, **LIMITED)
    chunks = list(client.chat.completions.create(model=model, **WITH_USAGE, **LIMITED))
    assert chunks[-1].choices == []
    assert check_usage(chunks[-1].usage) == check_usage(whole.usage)
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert all(chunk.choices for chunk in chunks[:-1])


def test_no_usage_comes_unasked(client: openai.OpenAI, model: str) -> None:
    chunks = list(client.chat.completions.create(model=model, stream=True, **LIMITED))
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)


@pytest.mark.parametrize("prefix", [OPENAI, OWN])
def test_the_wire_ends_with_done(http: httpx2.Client, model: str, prefix: str) -> None:
    found = events(http, f"{prefix}/chat/completions", {"model": model, **LIMITED})
    assert found[-1] == "[DONE]"
    assert found.count("[DONE]") == 1
    assert all(json.loads(data)["object"] == "chat.completion.chunk" for data in found[:-1])


def test_usage_is_null_on_the_wire_until_the_end(http: httpx2.Client, model: str) -> None:
    body = {"model": model, "stream_options": {"include_usage": True}, **LIMITED}
    *chunks, last, done = events(http, f"{OPENAI}/chat/completions", body)
    assert done == "[DONE]"
    assert [json.loads(chunk)["usage"] for chunk in chunks] == [None] * len(chunks)
    assert json.loads(last)["usage"]["total_tokens"] > 0


def test_logprobs_come_with_their_pieces(client: openai.OpenAI, model: str) -> None:
    chunks = list(client.chat.completions.create(model=model, stream=True, logprobs=True, top_logprobs=2, **LIMITED))
    for chunk in chunks:
        for choice in chunk.choices:
            entries = choice.logprobs.content or () if choice.logprobs else ()
            assert b"".join(bytes(entry.bytes or ()) for entry in entries).decode() == (choice.delta.content or "")
            assert all(len(entry.top_logprobs) == 2 for entry in entries)


def test_the_clients_stream_gathers_the_answer(client: openai.OpenAI, model: str) -> None:
    # The client takes an answer that was cut for an error: this one has an end.
    schema = {"type": "object", "properties": {"size": {"enum": ["small", "large"]}}, "required": ["size"]}
    form = {"type": "json_schema", "json_schema": {"name": "size", "schema": {**schema, "additionalProperties": False}}}
    asked: Any = {**LIMITED, "max_tokens": 256, "response_format": form}
    with client.chat.completions.stream(model=model, stream_options={"include_usage": True}, **asked) as stream:
        pieces = [event.delta for event in stream if event.type == "content.delta"]
        final = stream.get_final_completion()
    assert "".join(pieces) == check_chat(final, model)
    assert final.choices[0].finish_reason == "stop"
    check_usage(final.usage)


def test_a_stream_may_be_left_early(client: openai.OpenAI, model: str) -> None:
    with client.chat.completions.create(model=model, stream=True, **LIMITED) as stream:
        assert next(iter(stream)).id
    assert check_chat(client.chat.completions.create(model=model, **LIMITED), model)


@pytest.mark.parametrize("stream", [True, False])
def test_the_stream_parameter_decides_the_type(http: httpx2.Client, model: str, stream: bool) -> None:
    answer = http.post(f"{OPENAI}/chat/completions", json={"model": model, "stream": stream, **LIMITED})
    kind = answer.headers["content-type"].partition(";")[0]
    assert kind == ("text/event-stream" if stream else "application/json")
