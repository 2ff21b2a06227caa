# SPDX-License-Identifier: Apache-2.0
"""CompletionService on top of a CompletionBackend."""

import secrets
import time
from collections import defaultdict
from contextlib import aclosing
from typing import Any

from cowabungaai_sdk.backend import CompletionBackend, CompletionDelta
from cowabungaai_sdk.catalog import Catalog
from cowabungaai_sdk.checks import check_completion
from cowabungaai_sdk.servicers.answers import CompletionPieces, Watch
from cowabungaai_sdk.servicers.calls import Call, Calls, Context
from cowabungaai_sdk.v1.completion_pb2 import (
    CompletionChoice,
    CompletionChunk,
    CompletionRequest,
    CompletionResponse,
)
from cowabungaai_sdk.v1.completion_pb2_grpc import CompletionServiceServicer
from cowabungaai_sdk.v1.models_pb2 import CAPABILITY_COMPLETION


class CompletionServicer(CompletionServiceServicer):
    """Serves continuations.

    Args:
        backend: what continues the prompts.
        catalog: its models.
        calls: the server's calls.
    """

    def __init__(self, backend: CompletionBackend, catalog: Catalog, calls: Calls) -> None:
        self._backend = backend
        self._catalog = catalog
        self._calls = calls
        self._fingerprint: str | None = getattr(backend, "system_fingerprint", None)

    async def Complete(self, request: CompletionRequest, context: Context) -> CompletionResponse:
        """Collects the backend's whole answer; see completion.proto."""
        async with self._calls.serve("Complete", context) as call:
            watch = self._admit(request, call, stream=False)
            response = CompletionResponse(**self._head(request))
            pieces: defaultdict[int, CompletionPieces] = defaultdict(CompletionPieces)
            async with self._calls.slot(call), aclosing(self._backend.complete(request)) as deltas:
                async for delta in deltas:
                    if watch.see(delta):
                        pieces[delta.index].add(delta)
            response.usage.CopyFrom(watch.end())
            response.choices.extend(pieces[index].choice(index) for index in sorted(pieces))
            return response
        raise AssertionError("unreachable: serve aborts the call where the body raises")

    async def CompleteStream(self, request: CompletionRequest, context: Context) -> None:
        """Passes the backend's answer on as it comes; see completion.proto."""
        async with self._calls.serve("CompleteStream", context) as call:
            watch = self._admit(request, call, stream=True)
            head = self._head(request)
            async with self._calls.slot(call), aclosing(self._backend.complete(request)) as deltas:
                async for delta in deltas:
                    choices = [_choice(delta)] if watch.see(delta) else []
                    await context.write(CompletionChunk(choices=choices, usage=delta.usage, **head))
                    head = {}
            watch.end()

    def _admit(self, request: CompletionRequest, call: Call, stream: bool) -> Watch:
        """Checks the request."""
        self._catalog.find(request.model, CAPABILITY_COMPLETION)
        call.model = request.model
        check_completion(request, stream)
        return Watch(call, len(request.prompts) * (request.n if request.HasField("n") else 1))

    def _head(self, request: CompletionRequest) -> dict[str, Any]:
        return {
            "id": f"cmpl-{secrets.token_hex(12)}",
            "created": int(time.time()),
            "model": request.model,
            "system_fingerprint": self._fingerprint,
        }


def _choice(delta: CompletionDelta) -> CompletionChoice:
    return CompletionChoice(
        index=delta.index, text=delta.text, finish_reason=delta.finish_reason, logprobs=delta.logprobs
    )
