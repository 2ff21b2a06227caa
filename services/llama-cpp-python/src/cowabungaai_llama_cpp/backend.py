# SPDX-License-Identifier: Apache-2.0
"""The backend: every capability in one class, one engine a model."""

import asyncio
import hashlib
import logging
from collections.abc import AsyncGenerator, Sequence
from importlib import metadata

from cowabungaai_llama_cpp import chat, completion, embedding
from cowabungaai_llama_cpp.config import LlamaConfig
from cowabungaai_llama_cpp.model import ServedModel
from cowabungaai_llama_cpp.request import check_text
from cowabungaai_sdk.backend import ChatDelta, CompletionDelta, Embeddings
from cowabungaai_sdk.blocking import CancelToken, run_blocking
from cowabungaai_sdk.errors import BackendUnavailableError
from cowabungaai_sdk.models import LocalModel
from cowabungaai_sdk.v1 import models_pb2
from cowabungaai_sdk.v1.chat_pb2 import ChatRequest
from cowabungaai_sdk.v1.completion_pb2 import CompletionRequest
from cowabungaai_sdk.v1.embedding_pb2 import EmbeddingRequest
from cowabungaai_sdk.v1.models_pb2 import Model
from cowabungaai_sdk.v1.tokens_pb2 import CountTokensRequest

log = logging.getLogger("cowabungaai.llama_cpp")

# What a model can do is known once it is loaded; until then no request is taken.
_PERHAPS = (
    models_pb2.CAPABILITY_CHAT,
    models_pb2.CAPABILITY_COMPLETION,
    models_pb2.CAPABILITY_TOKEN_COUNT,
)


class LlamaBackend:
    """Answers with GGUF models on llama.cpp.

    Args:
        models: where they are, the default first.
        config: the settings.
    """

    def __init__(self, models: Sequence[LocalModel], config: LlamaConfig | None = None) -> None:
        self._locals = list(models)
        self._config = config or LlamaConfig()
        self._served: dict[str, ServedModel] = {}
        self.max_concurrency = self._config.parallel * len(self._locals)
        self.system_fingerprint = _fingerprint(self._locals, self._config)

    async def load(self) -> None:
        """Loads the models, one after the other.

        Raises:
            ModelError: one cannot be served.
        """
        for local in self._locals:
            model = await asyncio.to_thread(ServedModel, local, self._config)
            self._served[local.id] = model
            fields = {"model": local.id, "context_length": model.limits.length, "chat": model.template is not None}
            log.info("model loaded", extra={"fields": fields})

    async def close(self) -> None:
        """Ends the engines."""
        served, self._served = self._served, {}
        for model in served.values():
            await asyncio.to_thread(model.close)

    def models(self) -> Sequence[Model]:
        """The models; what they can do is certain once they are loaded."""
        return [
            self._served[local.id].describe() if local.id in self._served else local.describe(_PERHAPS)
            for local in self._locals
        ]

    def chat(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        """Answers a conversation; see chat.py."""
        return chat.answer(self._model(request.model), request)

    def complete(self, request: CompletionRequest) -> AsyncGenerator[CompletionDelta, None]:
        """Continues prompts; see completion.py."""
        return completion.continue_prompts(self._model(request.model), request)

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """Embeds texts; see embedding.py."""
        return await embedding.embed(self._model(request.model), request)

    async def count_tokens(self, request: CountTokensRequest) -> int:
        """Counts the tokens of a text, without those that begin or end it, or of a conversation as chat reads it."""
        model = self._model(request.model)
        return await run_blocking(model.threads, _count, model, request)

    def _model(self, name: str) -> ServedModel:
        model = self._served.get(name)
        if model is None:
            raise BackendUnavailableError(f"the model {name!r} is not loaded")
        return model


def _count(cancel: CancelToken, model: ServedModel, request: CountTokensRequest) -> int:
    if request.WhichOneof("input") == "conversation":
        return chat.count(model, request.conversation)
    check_text(model.limits, request.text, "text")
    return len(model.weights.tokenize(request.text, add_special=False, parse_special=True))


def _fingerprint(models: Sequence[LocalModel], config: LlamaConfig) -> str:
    parts = [metadata.version("llama-cpp-python"), repr(config), *(f"{model.id}={model.digest}" for model in models)]
    return f"llama-{hashlib.sha256('|'.join(parts).encode()).hexdigest()[:16]}"
