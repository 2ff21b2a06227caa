# SPDX-License-Identifier: Apache-2.0
"""The backend: models, and the threads that they share."""

import asyncio
import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from cowabungaai_sdk.backend import Embeddings
from cowabungaai_sdk.cpus import usable_cpus
from cowabungaai_sdk.errors import InvalidRequestError
from cowabungaai_sdk.models import LocalModel
from cowabungaai_sdk.v1.embedding_pb2 import EmbeddingRequest
from cowabungaai_sdk.v1.models_pb2 import Model
from cowabungaai_sdk.v1.tokens_pb2 import CountTokensRequest
from cowabungaai_text_embeddings.config import Settings
from cowabungaai_text_embeddings.model import EmbeddingModel

MAX_CONCURRENCY = 32
"""How many requests may have texts in the engine's queue: enough to fill batches of single texts, and so few that the
largest ones that are allowed fit the memory of the image's container."""


class TextEmbeddings:
    """Embeds texts.

    Args:
        models: where they are; the first is the default.
        settings: how they are used.

    Raises:
        ModelError: a model's folder is not what it should be, as far as that can be seen without reading weights.
    """

    def __init__(self, models: Sequence[LocalModel], settings: Settings | None = None) -> None:
        chosen = settings or Settings()
        self._models = {model.id: EmbeddingModel(model, chosen) for model in models}
        self._readers = ThreadPoolExecutor(max(2, usable_cpus()), thread_name_prefix="reader")
        digest = hashlib.sha256("".join(model.digest for model in models).encode()).hexdigest()
        self.system_fingerprint = f"{chosen.engine}-{chosen.precision or 'default'}-{digest[:12]}"
        self.max_concurrency = MAX_CONCURRENCY

    async def load(self) -> None:
        """Reads the models, one after the other.

        Raises:
            ModelError: a file is not what it should be.
        """
        for model in self._models.values():
            await asyncio.to_thread(model.load)

    async def close(self) -> None:
        """Ends all threads."""
        for model in self._models.values():
            await asyncio.to_thread(model.close)
        await asyncio.to_thread(self._readers.shutdown)

    def models(self) -> Sequence[Model]:
        """What is served."""
        return [model.describe() for model in self._models.values()]

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """Embeds the inputs; see model.py."""
        return await self._models[request.model].embed(request, self._readers)

    async def count_tokens(self, request: CountTokensRequest) -> int:
        """Counts the tokens of a text.

        Args:
            request: the text.

        Raises:
            InvalidRequestError: it is a conversation, for which such a model has no template.
        """
        if request.WhichOneof("input") != "text":
            raise InvalidRequestError("the model reads texts, not conversations; send text", "conversation")
        return await self._models[request.model].count_tokens(request.text, self._readers)
