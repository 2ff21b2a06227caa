# SPDX-License-Identifier: Apache-2.0
"""Holds every answer against the client's own models, strictly: the client itself takes whatever it gets.

It works below the client, on what goes over the wire, so that no conversion hides a wrong type.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any, Literal

import httpx2
import openai
from openai.pagination import SyncPage
from openai.types import Completion, CompletionChoice, CreateEmbeddingResponse, Embedding, Model
from openai.types import completion_choice as choices
from openai.types.audio import (
    Transcription,
    TranscriptionTextDeltaEvent,
    TranscriptionTextDoneEvent,
    TranscriptionVerbose,
    Translation,
    TranslationVerbose,
)
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel, ConfigDict, TypeAdapter

from conformance.target import OPENAI, OWN


class EchoedLogprobs(choices.Logprobs):
    """The first token of an echoed prompt has no probability; the client's type forgets that."""

    token_logprobs: list[float | None] | None = None  # type: ignore[assignment]
    top_logprobs: list[dict[str, float] | None] | None = None  # type: ignore[assignment]


class WireChoice(CompletionChoice):
    """As the client's, with log probabilities as they are sent."""

    logprobs: EchoedLogprobs | None = None


class WireCompletion(Completion):
    """As the client's, with log probabilities as they are sent."""

    choices: list[WireChoice]  # type: ignore[assignment]


class PieceOfChoice(WireChoice):
    """In a stream only the last piece has a reason; the client's type forgets that."""

    finish_reason: Literal["stop", "length", "content_filter"] | None  # type: ignore[assignment]


class CompletionEvent(Completion):
    """An event of a streamed completion."""

    choices: list[PieceOfChoice]  # type: ignore[assignment]


class WireEmbedding(Embedding):
    """The client asks for base64, and decodes it before it makes its own type."""

    embedding: list[float] | str  # type: ignore[assignment]


class WireEmbeddings(CreateEmbeddingResponse):
    """The answer of embeddings as it is sent."""

    data: list[WireEmbedding]  # type: ignore[assignment]


class ErrorDetail(BaseModel):
    """What OpenAI says of an error; all four fields are always there."""

    model_config = ConfigDict(extra="forbid")

    message: str
    type: Literal[
        "invalid_request_error", "authentication_error", "permission_error", "rate_limit_error", "server_error"
    ]
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """The body of every error."""

    model_config = ConfigDict(extra="forbid")

    error: ErrorDetail


WHOLE: dict[str, TypeAdapter[Any]] = {
    "/chat/completions": TypeAdapter(ChatCompletion),
    "/completions": TypeAdapter(WireCompletion),
    "/embeddings": TypeAdapter(WireEmbeddings),
    "/models": TypeAdapter(SyncPage[Model]),
}
AUDIO: dict[str, tuple[TypeAdapter[Any], TypeAdapter[Any]]] = {
    "/audio/transcriptions": (TypeAdapter(Transcription), TypeAdapter(TranscriptionVerbose)),
    "/audio/translations": (TypeAdapter(Translation), TypeAdapter(TranslationVerbose)),
}
EVENTS: dict[str, TypeAdapter[Any]] = {
    "/chat/completions": TypeAdapter(ChatCompletionChunk),
    "/completions": TypeAdapter(CompletionEvent),
    "/audio/transcriptions": TypeAdapter(TranscriptionTextDeltaEvent | TranscriptionTextDoneEvent),
}
ERROR = TypeAdapter(ErrorBody)


def check_body(path: str, status: int, content_type: str, body: bytes) -> None:
    """Checks a whole answer.

    Args:
        path: of the request, without the API's prefix.
        status: the HTTP status.
        content_type: the header.
        body: the answer.

    Raises:
        pydantic.ValidationError: it is not what the client's model says.
    """
    if status >= 400:
        ERROR.validate_json(body, strict=True)
    elif not content_type.startswith("application/json"):
        return
    elif path in AUDIO:
        brief, verbose = AUDIO[path]
        (verbose if "duration" in json.loads(body) else brief).validate_json(body, strict=True)
    elif path in WHOLE:
        WHOLE[path].validate_json(body, strict=True)
    elif path.startswith("/models/"):
        TypeAdapter(Model).validate_json(body, strict=True)


class EventChecker:
    """Checks a stream's events as they come.

    Args:
        path: of the request, without the API's prefix.
    """

    def __init__(self, path: str) -> None:
        self._events = EVENTS[path]
        self._rest = b""

    def feed(self, piece: bytes) -> None:
        """Takes the next bytes.

        Args:
            piece: the bytes.

        Raises:
            pydantic.ValidationError: an event is not what the client's model says.
        """
        *whole, self._rest = (self._rest + piece).split(b"\n\n")
        for event in whole:
            assert event.startswith(b"data: "), event
            data = event.removeprefix(b"data: ")
            if data == b"[DONE]":
                continue
            (ERROR if b'"error"' in data[:9] else self._events).validate_json(data, strict=True)


class _Checked(httpx2.SyncByteStream):
    def __init__(self, stream: httpx2.SyncByteStream, checker: EventChecker) -> None:
        self._stream = stream
        self._checker = checker

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._stream:
            self._checker.feed(piece)
            yield piece

    def close(self) -> None:
        self._stream.close()


class _CheckedAsync(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, checker: EventChecker) -> None:
        self._stream = stream
        self._checker = checker

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._stream:
            self._checker.feed(piece)
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


def _path(response: httpx2.Response) -> str:
    path = response.request.url.path
    return path.removeprefix(OPENAI).removeprefix(OWN)


def _streams(response: httpx2.Response) -> bool:
    return response.headers.get("content-type", "").startswith("text/event-stream")


def _check(response: httpx2.Response) -> None:
    if _streams(response):
        assert isinstance(response.stream, httpx2.SyncByteStream)
        response.stream = _Checked(response.stream, EventChecker(_path(response)))
        return
    response.read()
    check_body(_path(response), response.status_code, response.headers.get("content-type", ""), response.content)


async def _check_async(response: httpx2.Response) -> None:
    if _streams(response):
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _CheckedAsync(response.stream, EventChecker(_path(response)))
        return
    await response.aread()
    check_body(_path(response), response.status_code, response.headers.get("content-type", ""), response.content)


def client(base_url: str, key: str, **options: Any) -> openai.OpenAI:
    """The official client, all of whose answers are checked; without retries, so that each error is seen at once.

    Args:
        base_url: of the API.
        key: the API key.
        options: of the client.
    """
    http = openai.DefaultHttpxClient(event_hooks={"response": [_check]})
    return openai.OpenAI(base_url=base_url, api_key=key, http_client=http, **{"max_retries": 0, **options})


def async_client(base_url: str, key: str) -> openai.AsyncOpenAI:
    """The official client for asyncio, likewise; close it in the test.

    Args:
        base_url: of the API.
        key: the API key.
    """
    http = openai.DefaultAsyncHttpxClient(event_hooks={"response": [_check_async]})
    return openai.AsyncOpenAI(base_url=base_url, api_key=key, http_client=http, max_retries=0)
