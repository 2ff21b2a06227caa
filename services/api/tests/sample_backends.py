# SPDX-License-Identifier: Apache-2.0
"""Backends that misbehave, each in one way; served by the real server kit."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from cowabungaai_sdk.backend import ChatDelta
from cowabungaai_sdk.errors import InvalidRequestError
from cowabungaai_sdk.v1.chat_pb2 import ChatRequest
from cowabungaai_sdk.v1.common_pb2 import FINISH_REASON_UNSPECIFIED, Usage
from cowabungaai_sdk.v1.models_pb2 import CAPABILITY_CHAT, Model


class Stuck:
    """Sends one word, then nothing more; knows when it was cancelled."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def load(self) -> None:
        pass

    async def close(self) -> None:
        pass

    def models(self) -> Sequence[Model]:
        return [Model(id="sample", capabilities=[CAPABILITY_CHAT])]

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        yield ChatDelta("one")
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


class Broken(Stuck):
    """Sends one word, then fails."""

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        yield ChatDelta("one")
        raise RuntimeError("the engine quotes: " + request.messages[0].content[0].text)


class Picky(Stuck):
    """Refuses every request because of its seed."""

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        raise InvalidRequestError("this engine has no seed", "seed")
        yield ChatDelta()


class Empty(Stuck):
    """Ends a stream before its first piece, which the server kit reports as the backend's failure."""

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        return
        yield ChatDelta()


class Reasonless(Stuck):
    """Ends without a finish reason."""

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        yield ChatDelta("one", FINISH_REASON_UNSPECIFIED, Usage(prompt_tokens=1, completion_tokens=1))


class Recorder(Stuck):
    """Keeps the request, and answers nothing."""

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        self.request = request
        raise InvalidRequestError("recorded")
        yield ChatDelta()
