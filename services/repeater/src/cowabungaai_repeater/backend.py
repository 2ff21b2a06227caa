# SPDX-License-Identifier: Apache-2.0
"""The repeater: every capability in one class."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence

from cowabungaai_repeater.chat import answer
from cowabungaai_repeater.completion import continue_prompts
from cowabungaai_repeater.config import RepeaterConfig
from cowabungaai_repeater.control import Control
from cowabungaai_repeater.embedding import embed
from cowabungaai_repeater.tokens import conversation_tokens, tokens
from cowabungaai_repeater.transcription import transcribe
from cowabungaai_sdk.backend import ChatDelta, CompletionDelta, Embeddings
from cowabungaai_sdk.v1.audio_pb2 import AudioFacts, Segment, TranscribeOptions
from cowabungaai_sdk.v1.chat_pb2 import ChatRequest
from cowabungaai_sdk.v1.completion_pb2 import CompletionRequest
from cowabungaai_sdk.v1.embedding_pb2 import EmbeddingRequest
from cowabungaai_sdk.v1.models_pb2 import Model
from cowabungaai_sdk.v1.tokens_pb2 import CountTokensRequest


class Repeater:
    """Answers with what it is given. The same request always has the same answer, since nothing is sampled.

    Args:
        config: how it behaves where a request does not say otherwise.
    """

    def __init__(self, config: RepeaterConfig | None = None) -> None:
        self._config = config or RepeaterConfig()
        self._defaults = Control(delay_s=self._config.delay_s, first_delay_s=self._config.first_delay_s)
        self.system_fingerprint = self._config.name

    async def load(self) -> None:
        """Does nothing: there is no model."""

    async def close(self) -> None:
        """Does nothing."""

    def models(self) -> Sequence[Model]:
        """One model a name, all alike."""
        return [self._config.model(name) for name in self._config.models]

    def chat(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        """Echoes the last user message; see chat.py."""
        return answer(request, self._config, self._defaults)

    def complete(self, request: CompletionRequest) -> AsyncGenerator[CompletionDelta, None]:
        """Echoes the prompts; see completion.py."""
        return continue_prompts(request, self._config, self._defaults)

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """Hashes the inputs; see embedding.py."""
        return await embed(request, self._config, self._defaults)

    def transcribe(
        self, options: TranscribeOptions, audio: AsyncIterator[bytes]
    ) -> AsyncGenerator[Segment | AudioFacts, None]:
        """States the audio's facts; see transcription.py."""
        return transcribe(options, audio, self._defaults)

    async def count_tokens(self, request: CountTokensRequest) -> int:
        """Counts words."""
        if request.WhichOneof("input") == "text":
            return len(tokens(request.text))
        return conversation_tokens(request.conversation.messages, request.conversation.tools)
