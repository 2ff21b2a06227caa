# SPDX-License-Identifier: Apache-2.0
"""completions: asks the backend, and writes its answers as OpenAI's JSON."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import orjson

from cowabungaai_api.operations.common import FINISH_REASONS, event, finish_reason, sampling, text_inputs, usage
from cowabungaai_api.schemas.base import Request
from cowabungaai_api.schemas.completion_request import CompletionRequest
from cowabungaai_api.upstream.base import Call, Reply
from cowabungaai_sdk.client import BackendClient
from cowabungaai_sdk.errors import BackendFailedError
from cowabungaai_sdk.v1 import common_pb2, completion_pb2

DEFAULT_MAX_TOKENS = 16
"""What OpenAI's reference says of an unset max_tokens here (in chat it means no limit)."""
DIRECT = ("n", "best_of", "echo", "suffix", "logprobs", "user")


class Completion:
    """The operation; implements Operation."""

    path = "/completions"
    request: type[Request] = CompletionRequest
    done_marker = True

    async def unary(self, client: BackendClient, call: Call, model: str) -> Reply:
        """See Operation."""
        request = to_backend(call.request, model)
        answer = await client.complete(request, timeout_s=call.timeout_s, metadata=call.metadata)
        offsets = _Offsets()
        choices = [_choice(choice, offsets, finish_reason(choice.finish_reason)) for choice in answer.choices]
        body = {**_frame(answer, call), "choices": choices, "usage": usage(answer.usage, call.use)}
        return Reply(orjson.dumps(body))

    async def stream(self, client: BackendClient, call: Call, model: str) -> AsyncGenerator[bytes, None]:
        """See Operation."""
        request = to_backend(call.request, model)
        chunks = client.complete_stream(request, timeout_s=call.timeout_s, metadata=call.metadata)
        async with aclosing(chunks):
            frame: dict[str, Any] = {}
            offsets, ended = _Offsets(), False
            async for chunk in chunks:
                frame = frame or _frame(chunk, call)
                events = b""
                if chunk.choices:
                    choices = [_choice(c, offsets, FINISH_REASONS.get(c.finish_reason)) for c in chunk.choices]
                    null_usage = {"usage": None} if call.request.include_usage else {}
                    events = event({**frame, "choices": choices, **null_usage})
                if chunk.HasField("usage"):
                    ended, counts = True, usage(chunk.usage, call.use)
                    if call.request.include_usage:
                        events += event({**frame, "choices": [], "usage": counts})
                yield events
        if not ended:
            raise BackendFailedError("the backend's stream ended without usage")


class _Offsets:
    """Where the next token of each choice begins in its text, in characters."""

    def __init__(self) -> None:
        self._next: dict[int, int] = {}

    def take(self, index: int, token: str) -> int:
        offset = self._next.get(index, 0)
        self._next[index] = offset + len(token)
        return offset


def to_backend(request: CompletionRequest, model: str) -> completion_pb2.CompletionRequest:
    """Writes a request as the backend reads it.

    Args:
        request: the client's request, checked.
        model: the model's name at the backend.
    """
    out = completion_pb2.CompletionRequest(
        model=model, prompts=text_inputs(request.prompt), sampling=sampling(request, DEFAULT_MAX_TOKENS)
    )
    for name in DIRECT:
        if (value := getattr(request, name)) is not None:
            setattr(out, name, value)
    return out


def _frame(answer: completion_pb2.CompletionResponse | completion_pb2.CompletionChunk, call: Call) -> dict[str, Any]:
    out = {"id": answer.id, "object": "text_completion", "created": answer.created, "model": call.request.model}
    if answer.HasField("system_fingerprint"):
        out["system_fingerprint"] = answer.system_fingerprint
    return out


def _choice(choice: completion_pb2.CompletionChoice, offsets: _Offsets, reason: str | None) -> dict[str, Any]:
    found = _logprobs(choice.index, choice.logprobs, offsets) if choice.logprobs else None
    return {"index": choice.index, "text": choice.text, "logprobs": found, "finish_reason": reason}


def _logprobs(index: int, found: Any, offsets: _Offsets) -> dict[str, Any]:
    return {
        "tokens": [entry.token for entry in found],
        "token_logprobs": [_logprob(entry) for entry in found],
        "top_logprobs": [{top.token: top.logprob for top in entry.top} or None for entry in found],
        "text_offset": [offsets.take(index, entry.token) for entry in found],
    }


def _logprob(entry: common_pb2.TokenLogprob) -> float | None:
    return entry.logprob if entry.HasField("logprob") else None
