# SPDX-License-Identifier: Apache-2.0
"""Requests that the tests share, and what holds for every answer to them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import openai
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from conformance.target import Model

SENTENCE = "Count in words from one to twelve: one two three four five six"
MESSAGES: list[Any] = [{"role": "user", "content": SENTENCE}]
REASONS = ("stop", "length", "tool_calls", "content_filter")
SPEECH = Path(__file__).parent / "speech.ogg"
SPEECH_S = 5.81
TEXT: Any = {"type": "string", "maxLength": 40}
"""Some models never end a text that may be as long as they like."""
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": TEXT},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
CLOCK: Any = {
    "type": "function",
    "function": {
        "name": "clock",
        "description": "The time in a zone.",
        "parameters": {"type": "object", "properties": {"zone": TEXT}, "required": ["zone"]},
    },
}


def said(text: str) -> list[Any]:
    """A conversation of one message.

    Args:
        text: what the user says.
    """
    return [{"role": "user", "content": text}]


def check_usage(usage: CompletionUsage | None) -> CompletionUsage:
    """Checks that usage adds up, and returns it.

    Args:
        usage: of an answer.
    """
    assert usage is not None
    assert usage.prompt_tokens > 0
    assert usage.completion_tokens > 0
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    return usage


def check_chat(answer: ChatCompletion, model: str) -> str:
    """Checks what every answer of a conversation has, and returns the text of the first choice.

    Args:
        answer: the answer.
        model: what was asked for.
    """
    assert answer.id
    assert answer.object == "chat.completion"
    assert answer.created > 1_500_000_000
    assert answer.model == model
    assert [choice.index for choice in answer.choices] == list(range(len(answer.choices)))
    for choice in answer.choices:
        assert choice.message.role == "assistant"
        assert choice.finish_reason in REASONS
    check_usage(answer.usage)
    return answer.choices[0].message.content or ""


def check_object(answer: ChatCompletion, model: str) -> None:
    """Checks an answer for which `json_object` was asked.

    Args:
        answer: the answer.
        model: what was asked for.
    """
    text = check_chat(answer, model)
    if answer.choices[0].finish_reason == "length":
        # A small model may have more to tell than it may write; what it wrote so far is still an object's beginning.
        assert text.lstrip().startswith("{")
    else:
        assert isinstance(json.loads(text), dict)


class Sound(NamedTuple):
    """A file as the client takes it, of six seconds.

    Args:
        name: the file's.
        data: what is in it.
    """

    name: str
    data: bytes


@contextmanager
def may_refuse(model: Model, parameter: str) -> Iterator[None]:
    """For what not every model can do: a real one may refuse it, but must say which parameter it is.

    Args:
        model: under test; one that echoes can do it.
        parameter: the one that may be refused.
    """
    try:
        yield
    except openai.BadRequestError as error:
        if model.exact or error.param != parameter:
            raise


def joined(chunks: list[ChatCompletionChunk], index: int = 0) -> str:
    """The text of one choice of a stream.

    Args:
        chunks: the stream.
        index: of the choice.
    """
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices if choice.index == index)


def events(http: httpx2.Client, path: str, body: dict[str, Any]) -> list[str]:
    """The data of a stream's events, as they go over the wire.

    Args:
        http: a plain client.
        path: whole.
        body: the request, without `stream`.
    """
    answer = http.post(path, json={**body, "stream": True})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.endswith("\n\n")
    found = answer.text.removesuffix("\n\n").split("\n\n")
    assert all(event.startswith("data: ") for event in found)
    return [event.removeprefix("data: ") for event in found]


def is_json(text: str | None) -> Any:
    """What a text in JSON says.

    Args:
        text: the text.
    """
    assert text is not None
    return json.loads(text)
