# SPDX-License-Identifier: Apache-2.0
"""One model: what is known of it before it is loaded, and what it does afterwards."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from cowabungaai_sdk.backend import Embeddings
from cowabungaai_sdk.blocking import CancelToken, run_blocking
from cowabungaai_sdk.cpus import usable_cpus
from cowabungaai_sdk.errors import BackendUnavailableError, InvalidRequestError
from cowabungaai_sdk.models import LocalModel, ModelError
from cowabungaai_sdk.v1 import models_pb2
from cowabungaai_sdk.v1.common_pb2 import Usage
from cowabungaai_sdk.v1.embedding_pb2 import EmbeddingRequest
from cowabungaai_text_embeddings.batching import Batcher, Vectors
from cowabungaai_text_embeddings.config import Settings
from cowabungaai_text_embeddings.engine import Engine
from cowabungaai_text_embeddings.folder import Folder
from cowabungaai_text_embeddings.machine import return_memory
from cowabungaai_text_embeddings.tokens import Reader

BATCH_TOKENS = {"onnx": 512, "torch": 16384}
"""The most tokens of a batch. On a CPU larger ones are slower, since their numbers leave the cache."""


class EmbeddingModel:
    """A model of this service.

    Args:
        model: where it is.
        settings: how it is used.

    Raises:
        ModelError: its folder is not what it should be, as far as that can be seen without reading weights.
    """

    def __init__(self, model: LocalModel, settings: Settings) -> None:
        self.id = model.id
        self._model = model
        self._settings = settings
        self._folder = Folder(model)
        self._context = self._context_length()
        self._dimensions = self._folder.dimensions
        if settings.engine == "onnx" and self._folder.weights and self._folder.engine_file(settings.precision) is None:
            self._folder.architecture()
        self._reader: Reader | None = None
        self._batcher: Batcher | None = None

    def describe(self) -> models_pb2.Model:
        """The model as the contract lists it."""
        capabilities = (models_pb2.CAPABILITY_EMBEDDING, models_pb2.CAPABILITY_TOKEN_COUNT)
        return self._model.describe(capabilities, self._context, self._dimensions)

    def load(self) -> None:
        """Reads the model. Blocks.

        Raises:
            ModelError: its files are not what they should be.
        """
        self._model.verify()
        settings = self._settings
        prompt = self._prompt()
        if prompt and not self._folder.pools_prompts:
            raise ModelError(f"{self._folder.path} leaves prompts out of its pooling, which is not supported")
        self._reader = Reader(self._folder, self._context, prompt, settings.max_request_tokens)
        streams, threads = parallelism(settings)
        most = settings.max_batch_tokens or BATCH_TOKENS[settings.engine]
        self._batcher = Batcher(_engine(self._folder, settings, threads), most, streams)
        return_memory()

    def close(self) -> None:
        """Ends the engine's threads. Blocks."""
        if self._batcher is not None:
            self._batcher.close()

    async def embed(self, request: EmbeddingRequest, readers: ThreadPoolExecutor) -> Embeddings:
        """Embeds a request's inputs.

        Args:
            request: the inputs.
            readers: threads that make tokens of texts.

        Raises:
            InvalidRequestError: there are too many inputs, one is too long or has unknown tokens, all together are too
                long, or the dimensions are none of the model's.
        """
        reader, batcher = self._loaded()
        if len(request.inputs) > self._settings.max_inputs:
            message = f"there are {len(request.inputs)} inputs; expected at most {self._settings.max_inputs}"
            raise InvalidRequestError(message, "inputs")
        # Before it waits for a thread: until then all of it is kept.
        reader.check_size(request.inputs)
        dimensions = self._chosen_dimensions(request)
        truncate = request.truncate if request.HasField("truncate") else self._settings.truncate
        texts = await run_blocking(readers, reader.read, request.inputs, truncate)
        vectors = await asyncio.wrap_future(batcher.submit(texts))
        packed = await run_blocking(readers, _packed, vectors, dimensions)
        return Embeddings(packed, Usage(prompt_tokens=sum(map(len, texts))))

    async def count_tokens(self, text: str, readers: ThreadPoolExecutor) -> int:
        """Counts the tokens of a text as the model would read it; see embed."""
        reader, _ = self._loaded()
        return await run_blocking(readers, reader.count, text)

    def _loaded(self) -> tuple[Reader, Batcher]:
        if self._reader is None or self._batcher is None:
            raise BackendUnavailableError(f"the model {self.id!r} is not loaded")
        return self._reader, self._batcher

    def _prompt(self) -> str:
        """What goes before every text."""
        name = self._settings.prompt
        if name is None:
            return self._folder.prompt
        return self._folder.named_prompt(name) if name else ""

    def _context_length(self) -> int:
        wanted, limit = self._settings.context_length, self._folder.position_limit
        if wanted is not None and wanted > limit:
            raise ModelError(f"context-length is {wanted}; {self._folder.path} has positions for {limit} tokens")
        return wanted or self._folder.most_tokens

    def _chosen_dimensions(self, request: EmbeddingRequest) -> int | None:
        """How many dimensions are kept; None means all, as they are."""
        if not request.HasField("dimensions") or request.dimensions == self._dimensions:
            return None
        wanted, most = request.dimensions, self._dimensions
        allowed = self._folder.shorter_dimensions if self._settings.matryoshka is None else self._settings.matryoshka
        if allowed is False:
            message = (
                f"the model {self.id!r} was not trained for shorter vectors; leave dimensions out, or ask for {most}"
            )
            raise InvalidRequestError(message, "dimensions")
        if isinstance(allowed, tuple) and wanted not in allowed:
            known = ", ".join(map(str, sorted({*allowed, most})))
            raise InvalidRequestError(f"dimensions is {wanted}; expected one of {known}", "dimensions")
        if wanted > most:
            raise InvalidRequestError(f"dimensions is {wanted}; expected 1 to {most}", "dimensions")
        return wanted


def parallelism(settings: Settings) -> tuple[int, int]:
    """How many batches are worked on at once, and how many threads work on each.

    Args:
        settings: what they leave open is chosen for the most texts a second: on CPUs a batch a CPU, since threads that
            share one wait for each other at every operator; torch, which may have a GPU, gets one batch at a time.
    """
    if settings.engine == "torch":
        streams = settings.streams or 1
        return streams, settings.threads or max(1, usable_cpus() // streams)
    if settings.streams:
        return settings.streams, settings.threads or max(1, usable_cpus() // settings.streams)
    threads = settings.threads or 1
    return max(1, usable_cpus() // threads), threads


def _packed(cancel: CancelToken, vectors: Vectors, dimensions: int | None) -> list[bytes]:
    """Vectors as bytes, as vectors.pack makes them of numbers one by one; shortened ones are unit vectors again."""
    if dimensions is None:
        return [vector.astype("<f4", copy=False).tobytes() for vector in vectors]
    short = [vector[:dimensions] for vector in vectors]
    return [(vector / max(float(np.linalg.norm(vector)), 1e-12)).astype("<f4").tobytes() for vector in short]


def _engine(folder: Folder, settings: Settings, threads: int) -> Engine:
    # Imported by those who choose it: the other flavor has not got its packages.
    if settings.engine == "torch":
        from cowabungaai_text_embeddings.engine_torch import TorchEngine

        return TorchEngine(folder, settings.precision, settings.device, threads)
    from cowabungaai_text_embeddings.engine_onnx import OnnxEngine

    return OnnxEngine(folder, settings.precision, threads)
