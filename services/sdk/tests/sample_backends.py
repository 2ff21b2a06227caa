"""Small backends that the tests serve; each shows one behaviour."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from cowabungaai_sdk.backend import ChatDelta
from cowabungaai_sdk.errors import InvalidRequestError
from cowabungaai_sdk.v1.chat_pb2 import FINISH_REASON_STOP, ChatRequest, Usage
from cowabungaai_sdk.v1.models_pb2 import CAPABILITY_CHAT, Model

END = ChatDelta(finish_reason=FINISH_REASON_STOP, usage=Usage(prompt_tokens=2, completion_tokens=3))


class Words:
    """Answers `one two three`, and keeps the last request."""

    def __init__(self) -> None:
        self.request: ChatRequest | None = None
        self.closed = asyncio.Event()

    async def load(self) -> None:
        pass

    async def close(self) -> None:
        self.closed.set()

    def models(self) -> Sequence[Model]:
        return [Model(id="words", owned_by="tests", capabilities=[CAPABILITY_CHAT], context_length=8)]

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        self.request = request
        for text in ("one", " two", " three"):
            yield ChatDelta(text)
        yield END


class Gated(Words):
    """Sends one word, then waits until the gate opens; knows when it was cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.begun = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        yield ChatDelta("one")
        self.begun.set()
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        yield END


class Broken(Words):
    """Sends one word, then fails with a message that quotes the conversation."""

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        yield ChatDelta("one")
        raise RuntimeError(f"cannot digest {request.messages[0].content[0].text}")


class Picky(Words):
    """Refuses every request because of its temperature."""

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        raise InvalidRequestError("too warm", "temperature")
        yield END


class Endless(Words):
    """Ends its answer without usage, which breaks the interface."""

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        yield ChatDelta("one")


class Unloadable(Words):
    """Has no model to load."""

    async def load(self) -> None:
        raise FileNotFoundError("no such model file")


class SlowToLoad(Words):
    """Loads until it is cancelled."""

    async def load(self) -> None:
        await asyncio.Event().wait()


class Incapable:
    """Implements no capability."""

    async def load(self) -> None:
        pass

    async def close(self) -> None:
        pass

    def models(self) -> Sequence[Model]:
        return []
