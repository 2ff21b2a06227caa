# SPDX-License-Identifier: Apache-2.0
"""The interfaces that a backend implements: one Protocol per capability, all of them on top of Backend."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from cowabungaai_sdk.v1.audio_pb2 import AudioFacts, Segment, TranscribeOptions
from cowabungaai_sdk.v1.chat_pb2 import ChatLogprobs, ChatRequest, ToolCallDelta
from cowabungaai_sdk.v1.common_pb2 import FinishReason, TokenLogprob, Usage
from cowabungaai_sdk.v1.completion_pb2 import CompletionRequest
from cowabungaai_sdk.v1.embedding_pb2 import EmbeddingRequest
from cowabungaai_sdk.v1.models_pb2 import Model
from cowabungaai_sdk.v1.tokens_pb2 import CountTokensRequest


class Backend(Protocol):
    """What every backend has, whatever it can do.

    Two more attributes are read where a backend has them: `max_concurrency: int | None`, how many calls its engine
    works on at once (absent or None: any number), and `system_fingerprint: str`, which names the configuration.

    A backend's methods may raise BackendError's subclasses, with a message that is fit for the caller. Any other
    exception reaches the caller as BackendFailedError without its message. When the caller leaves or the deadline
    passes, the method is cancelled, and its generator closed.
    """

    async def load(self) -> None:
        """Makes the models ready; runs once, before the first request. The backend counts as healthy when it returns.

        Raises:
            Exception: any; the server then stops with a non-zero exit status.
        """

    async def close(self) -> None:
        """Frees what load took; runs once, after the last request, even where load failed."""

    def models(self) -> Sequence[Model]:
        """The models served, at least one, the default first.

        Called before load and once after it. A state that is unspecified is filled in by the server.
        """


@dataclass(frozen=True, slots=True)
class ChatDelta:
    """The next piece of a conversation's answer.

    Args:
        text: text to append; may be empty.
        finish_reason: set in a choice's last delta, and only there.
        usage: tokens used over all choices; set once, in the very last delta.
        index: the choice that the piece belongs to.
        tool_calls: pieces of function calls; id and name only in a call's first one.
        refusal: text to append to the refusal.
        reasoning: text to append to the reasoning.
        logprobs: of the piece's tokens.
    """

    text: str = ""
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    index: int = 0
    tool_calls: Sequence[ToolCallDelta] = ()
    refusal: str = ""
    reasoning: str = ""
    logprobs: ChatLogprobs | None = None


@dataclass(frozen=True, slots=True)
class CompletionDelta:
    """The next piece of a prompt's continuation.

    Args:
        text: text to append; may be empty.
        finish_reason: set in a choice's last delta, and only there.
        usage: tokens used over all choices; set once, in the very last delta.
        index: the choice that the piece belongs to; those of the first prompt come first.
        logprobs: of the piece's tokens.
    """

    text: str = ""
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    index: int = 0
    logprobs: Sequence[TokenLogprob] = ()


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Texts as vectors.

    Args:
        vectors: one an input, in their order, as vectors.pack makes them.
        usage: tokens read.
    """

    vectors: Sequence[bytes]
    usage: Usage


@runtime_checkable
class ChatBackend(Backend, Protocol):
    """A backend that answers conversations."""

    def chat(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        """Answers a conversation piece by piece; the server adds ids and times.

        Args:
            request: the conversation and its parameters, checked as checks.check_chat says; unset optional fields
                mean the engine's own defaults.
        """


@runtime_checkable
class CompletionBackend(Backend, Protocol):
    """A backend that continues prompts."""

    def complete(self, request: CompletionRequest) -> AsyncGenerator[CompletionDelta, None]:
        """Continues prompts piece by piece; the server adds ids and times.

        Args:
            request: the prompts and their parameters, checked as checks.check_completion says. With `best_of`, only
                the `n` best continuations of each prompt are yielded.
        """


@runtime_checkable
class EmbeddingBackend(Backend, Protocol):
    """A backend that embeds texts."""

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """Embeds texts.

        Args:
            request: the inputs, checked as checks.check_embedding says.
        """


@runtime_checkable
class TranscriptionBackend(Backend, Protocol):
    """A backend that turns speech into text, or into English text."""

    def transcribe(
        self, options: TranscribeOptions, audio: AsyncIterator[bytes]
    ) -> AsyncGenerator[Segment | AudioFacts, None]:
        """Yields the segments as they are found, and then, last, the facts of the whole.

        Args:
            options: what to do, checked as checks.check_transcription says.
            audio: the file's bytes, to be read once; an empty file is refused by the server.
        """


@runtime_checkable
class TokenCounter(Backend, Protocol):
    """A backend that counts tokens; counting takes no slot of max_concurrency."""

    async def count_tokens(self, request: CountTokensRequest) -> int:
        """Counts the tokens of a text or conversation as the model would read it.

        Args:
            request: the input, checked as checks.check_token_count says.
        """
