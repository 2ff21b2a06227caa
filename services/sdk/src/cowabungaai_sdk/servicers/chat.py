# SPDX-License-Identifier: Apache-2.0
"""ChatService on top of a ChatBackend."""

import secrets
import time
from collections import defaultdict
from contextlib import aclosing
from typing import Any

from cowabungaai_sdk.backend import ChatBackend, ChatDelta
from cowabungaai_sdk.catalog import Catalog
from cowabungaai_sdk.checks import check_chat
from cowabungaai_sdk.servicers.answers import ChatPieces, Watch
from cowabungaai_sdk.servicers.calls import Call, Calls, Context
from cowabungaai_sdk.v1.chat_pb2 import ChatChoiceDelta, ChatChunk, ChatRequest, ChatResponse
from cowabungaai_sdk.v1.chat_pb2_grpc import ChatServiceServicer
from cowabungaai_sdk.v1.models_pb2 import CAPABILITY_CHAT


class ChatServicer(ChatServiceServicer):
    """Serves conversations.

    Args:
        backend: what answers them.
        catalog: its models.
        calls: the server's calls.
    """

    def __init__(self, backend: ChatBackend, catalog: Catalog, calls: Calls) -> None:
        self._backend = backend
        self._catalog = catalog
        self._calls = calls
        self._fingerprint: str | None = getattr(backend, "system_fingerprint", None)

    async def Chat(self, request: ChatRequest, context: Context) -> ChatResponse:
        """Collects the backend's whole answer; see chat.proto."""
        async with self._calls.serve("Chat", context) as call:
            watch = self._admit(request, call)
            response = ChatResponse(**self._head(request))
            pieces: defaultdict[int, ChatPieces] = defaultdict(ChatPieces)
            async with self._calls.slot(call), aclosing(self._backend.chat(request)) as deltas:
                async for delta in deltas:
                    if watch.see(delta):
                        pieces[delta.index].add(delta)
            response.usage.CopyFrom(watch.end())
            response.choices.extend(pieces[index].choice(index) for index in sorted(pieces))
            return response
        raise AssertionError("unreachable: serve aborts the call where the body raises")

    async def ChatStream(self, request: ChatRequest, context: Context) -> None:
        """Passes the backend's answer on as it comes; see chat.proto."""
        async with self._calls.serve("ChatStream", context) as call:
            watch = self._admit(request, call)
            head = self._head(request)
            async with self._calls.slot(call), aclosing(self._backend.chat(request)) as deltas:
                # Writing, rather than yielding, lets a cancellation reach the backend wherever this method waits.
                async for delta in deltas:
                    choices = [_choice(delta)] if watch.see(delta) else []
                    await context.write(ChatChunk(choices=choices, usage=delta.usage, **head))
                    head = {}
            watch.end()

    def _admit(self, request: ChatRequest, call: Call) -> Watch:
        """Checks the request."""
        self._catalog.find(request.model, CAPABILITY_CHAT)
        call.model = request.model
        check_chat(request)
        return Watch(call, request.n if request.HasField("n") else 1)

    def _head(self, request: ChatRequest) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{secrets.token_hex(12)}",
            "created": int(time.time()),
            "model": request.model,
            "system_fingerprint": self._fingerprint,
        }


def _choice(delta: ChatDelta) -> ChatChoiceDelta:
    return ChatChoiceDelta(
        index=delta.index,
        text=delta.text,
        finish_reason=delta.finish_reason,
        tool_calls=delta.tool_calls,
        refusal=delta.refusal,
        reasoning=delta.reasoning,
        logprobs=delta.logprobs,
    )
