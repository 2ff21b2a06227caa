# SPDX-License-Identifier: Apache-2.0
"""chat/completions: asks the backend, and writes its answers as OpenAI's JSON."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import orjson

from cowabungaai_api.operations.chat_request import to_backend
from cowabungaai_api.operations.common import FINISH_REASONS, event, finish_reason, logprobs, usage
from cowabungaai_api.schemas.base import Request
from cowabungaai_api.schemas.chat_request import ChatCompletionRequest
from cowabungaai_api.upstream.base import Call, Reply
from cowabungaai_sdk.client import BackendClient
from cowabungaai_sdk.errors import BackendFailedError
from cowabungaai_sdk.v1 import chat_pb2


class Chat:
    """The operation; implements Operation."""

    path = "/chat/completions"
    request: type[Request] = ChatCompletionRequest
    done_marker = True

    async def unary(self, client: BackendClient, call: Call, model: str) -> Reply:
        """See Operation."""
        answer = await client.chat(to_backend(call.request, model), timeout_s=call.timeout_s, metadata=call.metadata)
        return Reply(orjson.dumps(_completion(answer, call)))

    async def stream(self, client: BackendClient, call: Call, model: str) -> AsyncGenerator[bytes, None]:
        """See Operation."""
        request = to_backend(call.request, model)
        chunks = client.chat_stream(request, timeout_s=call.timeout_s, metadata=call.metadata)
        async with aclosing(chunks):
            writer: ChunkWriter | None = None
            async for chunk in chunks:
                if writer is None:
                    writer = ChunkWriter(chunk, call)
                yield writer.write(chunk)
        if writer is None:
            raise BackendFailedError("the backend's stream is empty")
        writer.check_end()


class ChunkWriter:
    """Writes a stream's chunks, all with the same id; each choice's first one has the role.

    Args:
        first: the backend's first chunk, which names the answer.
        call: the client's request.
    """

    def __init__(self, first: chat_pb2.ChatChunk, call: Call) -> None:
        self._call = call
        self._wants_usage = call.request.include_usage
        self._frame: dict[str, Any] = {
            "id": first.id,
            "object": "chat.completion.chunk",
            "created": first.created,
            "model": call.request.model,
        }
        if first.HasField("system_fingerprint"):
            self._frame["system_fingerprint"] = first.system_fingerprint
        # Nearly every chunk is a piece of one choice's text: all but the piece is written once.
        frame = orjson.dumps(self._frame)[:-1]
        null_usage = b',"usage":null' if self._wants_usage else b""
        self._head = b"data: " + frame + b',"choices":[{"index":%d,"delta":{"content":'
        self._tail = b'},"logprobs":null,"finish_reason":null}]' + null_usage + b"}\n\n"
        self._open: dict[int, bool] = {}
        self._ended = False

    def write(self, chunk: chat_pb2.ChatChunk) -> bytes:
        """Writes a chunk as one event, with another before it for each choice that begins, and one after for the usage.

        Args:
            chunk: the backend's chunk.
        """
        choices = chunk.choices
        if len(choices) == 1 and _plain(choices[0]) and choices[0].index in self._open:
            events = self._head % choices[0].index + orjson.dumps(choices[0].text) + self._tail
        else:
            events = b"".join(self._begin(choice.index) for choice in choices if choice.index not in self._open)
            if choices:
                events += self._event([self._choice(choice) for choice in choices])
        if chunk.HasField("usage"):
            self._ended = True
            counts = usage(chunk.usage, self._call.use)
            if self._wants_usage:
                events += event({**self._frame, "choices": [], "usage": counts})
        return events

    def check_end(self) -> None:
        """Checks that the stream is whole.

        Raises:
            BackendFailedError: a choice, or the stream, did not end as the contract says.
        """
        if not self._ended or any(self._open.values()):
            raise BackendFailedError("the backend's stream ended before its choices did")

    def _event(self, choices: list[dict[str, Any]]) -> bytes:
        payload = {**self._frame, "choices": choices}
        if self._wants_usage:
            payload["usage"] = None
        return event(payload)

    def _begin(self, index: int) -> bytes:
        """The role, in an event of its own, as OpenAI sends it."""
        self._open[index] = True
        delta = {"role": "assistant", "content": "", "refusal": None}
        return self._event([{"index": index, "delta": delta, "logprobs": None, "finish_reason": None}])

    def _choice(self, choice: chat_pb2.ChatChoiceDelta) -> dict[str, Any]:
        delta: dict[str, Any] = {}
        if choice.text:
            delta["content"] = choice.text
        if choice.refusal:
            delta["refusal"] = choice.refusal
        if choice.reasoning:
            delta["reasoning_content"] = choice.reasoning
        if choice.tool_calls:
            delta["tool_calls"] = [_tool_call_delta(call) for call in choice.tool_calls]
        reason = FINISH_REASONS.get(choice.finish_reason)
        if reason is not None:
            self._open[choice.index] = False
        found = _logprobs(choice.logprobs) if choice.HasField("logprobs") else None
        return {"index": choice.index, "delta": delta, "logprobs": found, "finish_reason": reason}


def _plain(choice: chat_pb2.ChatChoiceDelta) -> bool:
    """Whether a delta is text and nothing else."""
    return not (
        choice.finish_reason
        or choice.tool_calls
        or choice.refusal
        or choice.reasoning
        or not choice.text
        or choice.HasField("logprobs")
    )


def _tool_call_delta(call: chat_pb2.ToolCallDelta) -> dict[str, Any]:
    function: dict[str, Any] = {"arguments": call.arguments}
    out: dict[str, Any] = {"index": call.index, "function": function}
    if call.HasField("name"):
        function["name"] = call.name
    if call.HasField("id"):
        out.update(id=call.id, type="function")
    return out


def _logprobs(found: chat_pb2.ChatLogprobs) -> dict[str, Any]:
    return {"content": logprobs(found.content), "refusal": logprobs(found.refusal) if found.refusal else None}


def _completion(answer: chat_pb2.ChatResponse, call: Call) -> dict[str, Any]:
    out: dict[str, Any] = {
        "id": answer.id,
        "object": "chat.completion",
        "created": answer.created,
        "model": call.request.model,
        "choices": [_whole_choice(choice) for choice in answer.choices],
        "usage": usage(answer.usage, call.use),
    }
    if answer.HasField("system_fingerprint"):
        out["system_fingerprint"] = answer.system_fingerprint
    return out


def _whole_choice(choice: chat_pb2.ChatChoice) -> dict[str, Any]:
    content = choice.message.content
    text = "".join(part.text for part in content)
    refusal = "".join(part.refusal for part in content)
    calls = choice.message.tool_calls
    message: dict[str, Any] = {
        "role": "assistant",
        # A message that only calls tools, or only refuses, has no content.
        "content": text if text or not (calls or refusal) else None,
        "refusal": refusal or None,
        "annotations": [],
    }
    if calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in calls
        ]
    if choice.message.HasField("reasoning"):
        message["reasoning_content"] = choice.message.reasoning
    return {
        "index": choice.index,
        "message": message,
        "logprobs": _logprobs(choice.logprobs) if choice.HasField("logprobs") else None,
        "finish_reason": finish_reason(choice.finish_reason),
    }
