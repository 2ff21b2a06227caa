# SPDX-License-Identifier: Apache-2.0
"""Small backends that the tests serve; each shows one behaviour."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

from cowabungaai_sdk.backend import ChatDelta, CompletionDelta, Embeddings
from cowabungaai_sdk.errors import InvalidRequestError
from cowabungaai_sdk.v1 import models_pb2
from cowabungaai_sdk.v1.audio_pb2 import AudioFacts, Segment, TranscribeOptions
from cowabungaai_sdk.v1.chat_pb2 import ChatLogprobs, ChatRequest, ToolCallDelta
from cowabungaai_sdk.v1.common_pb2 import (
    FINISH_REASON_LENGTH,
    FINISH_REASON_STOP,
    FINISH_REASON_TOOL_CALLS,
    TokenLogprob,
    Usage,
)
from cowabungaai_sdk.v1.completion_pb2 import CompletionRequest
from cowabungaai_sdk.v1.embedding_pb2 import EmbeddingRequest
from cowabungaai_sdk.v1.models_pb2 import CAPABILITY_CHAT, Model
from cowabungaai_sdk.v1.tokens_pb2 import CountTokensRequest
from cowabungaai_sdk.vectors import pack

END = ChatDelta(finish_reason=FINISH_REASON_STOP, usage=Usage(prompt_tokens=2, completion_tokens=3))


def logprob(text: str) -> TokenLogprob:
    """A token without more."""
    return TokenLogprob(token=text)


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
        return [Model(id="idle")]


class Modelless(Words):
    """Serves nothing."""

    def models(self) -> Sequence[Model]:
        return []


class Twins(Words):
    """Has two models of one name."""

    def models(self) -> Sequence[Model]:
        return [Model(id="words"), Model(id="words")]


class Boastful(Words):
    """Lists a capability that it does not implement."""

    def models(self) -> Sequence[Model]:
        return [Model(id="words", capabilities=[models_pb2.CAPABILITY_EMBEDDING])]


class BoastfulLater(Words):
    """As Boastful, but only once it has loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.capability = CAPABILITY_CHAT

    async def load(self) -> None:
        self.capability = models_pb2.CAPABILITY_EMBEDDING

    def models(self) -> Sequence[Model]:
        return [Model(id="words", capabilities=[self.capability])]


class HalfLoaded(Words):
    """Could not load its second model."""

    def models(self) -> Sequence[Model]:
        failed = Model(id="broken", capabilities=[CAPABILITY_CHAT], state=models_pb2.LOAD_STATE_FAILED)
        return [*super().models(), failed]


class Scripted(Words):
    """Answers with the deltas that it was made with."""

    def __init__(self, *deltas: ChatDelta) -> None:
        super().__init__()
        self.deltas = deltas

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        for delta in self.deltas:
            yield delta


class OneByOne(Gated):
    """Works on one call at a time."""

    max_concurrency = 1


class Everything(Words):
    """Has every capability, and a name."""

    system_fingerprint = "everything-1"

    def models(self) -> Sequence[Model]:
        known = [value for value in models_pb2.Capability.values() if value]
        return [Model(id="words", capabilities=known), Model(id="mute")]

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        """Two choices side by side, each with every kind of piece."""
        for index in range(request.n):
            piece = ChatLogprobs(content=[logprob("yes")])
            yield ChatDelta("yes", index=index, reasoning="hm", logprobs=piece)
        for index in range(request.n):
            call = ToolCallDelta(index=0, id=f"call_{index}", name="look")
            yield ChatDelta(index=index, refusal="no", reasoning="m", tool_calls=[call])
        for index in range(request.n):
            yield ChatDelta(index=index, tool_calls=[ToolCallDelta(index=0, arguments='{"a"')])
            yield ChatDelta(index=index, tool_calls=[ToolCallDelta(index=0, arguments=": 1}")])
        for index in range(request.n):
            yield ChatDelta(index=index, finish_reason=FINISH_REASON_TOOL_CALLS)
        yield ChatDelta(usage=Usage(prompt_tokens=1, completion_tokens=2))

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[CompletionDelta, None]:
        """Each prompt's text in two pieces."""
        last = len(request.prompts) - 1
        for index, prompt in enumerate(request.prompts):
            yield CompletionDelta(prompt.text[:1], index=index, logprobs=[logprob("a")])
            yield CompletionDelta(prompt.text[1:], index=index, logprobs=[logprob("b")])
            usage = Usage(prompt_tokens=3, completion_tokens=4) if index == last else None
            yield CompletionDelta(index=index, finish_reason=FINISH_REASON_LENGTH, usage=usage)

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """Each text's length; none for the text `lost`."""
        vectors = [pack([len(found.text), 0.5]) for found in request.inputs if found.text != "lost"]
        return Embeddings(vectors, Usage(prompt_tokens=len(vectors)))

    async def transcribe(
        self, options: TranscribeOptions, audio: AsyncIterator[bytes]
    ) -> AsyncGenerator[Segment | AudioFacts, None]:
        """How many bytes came; a language of more than two letters makes it forget the facts, or go on after them."""
        size = 0
        async for piece in audio:
            size += len(piece)
        yield Segment(id=0, text=f"{size} bytes")
        if options.language == "eng":
            return
        yield AudioFacts(duration=1.5, language=options.language, input_tokens=5, output_tokens=2)
        if options.language == "deu":
            yield Segment(id=1)

    async def count_tokens(self, request: CountTokensRequest) -> int:
        """Letters."""
        return len(request.text)
