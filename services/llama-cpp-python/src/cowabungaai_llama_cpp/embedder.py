# SPDX-License-Identifier: Apache-2.0
"""Texts as vectors, by models that are made for it."""

import ctypes
import math
import threading
from collections.abc import Sequence
from typing import Any

from cowabungaai_llama_cpp.binding import errors, library
from cowabungaai_llama_cpp.config import LlamaConfig
from cowabungaai_llama_cpp.weights import Weights
from cowabungaai_sdk.blocking import CancelToken
from cowabungaai_sdk.errors import BackendFailedError
from cowabungaai_sdk.models import ModelError


class Embedder:
    """Embeds sequences of tokens, several in one batch. One call at a time; others wait.

    Args:
        weights: the model.
        length: the most tokens of a sequence.
        config: the settings.

    Raises:
        ModelError: there is no memory for it.
    """

    def __init__(self, weights: Weights, length: int, config: LlamaConfig) -> None:
        self._c = library()
        self._weights = weights
        self._lock = threading.Lock()
        self._sequences = config.parallel
        # Attention sees the whole text at once, so a text has to fit into one physical batch.
        self._size = max(length, config.batch_size)
        errors.take()
        parameters = self._c.llama_context_default_params()
        parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = self._size
        parameters.n_seq_max = self._sequences
        parameters.n_threads = parameters.n_threads_batch = config.threads
        parameters.embeddings = True
        parameters.pooling_type = weights.pooling
        parameters.kv_unified = True
        self.handle = self._c.llama_init_from_model(weights.handle, parameters)
        if not self.handle:
            reasons = "; ".join(errors.take()) or "llama.cpp gives no reason"
            raise ModelError(f"no context of {length} tokens could be made: {reasons}; lower --context-length")
        self._batch: Any = self._c.llama_batch_init(self._size, 0, 1)

    def embed(self, cancel: CancelToken, texts: Sequence[Sequence[int]], dimensions: int | None) -> list[list[float]]:
        """Unit vectors of texts.

        Args:
            cancel: looked at between batches.
            texts: tokens of each, at least one, and no more than fit.
            dimensions: how many of a vector's first numbers to keep; None: all.

        Raises:
            BackendFailedError: the engine failed.
        """
        vectors: list[list[float]] = []
        start = 0
        while start < len(texts):
            with self._lock:
                if cancel.cancelled:
                    return vectors
                end, total = start, 0
                while end < len(texts) and end - start < self._sequences and total + len(texts[end]) <= self._size:
                    total += len(texts[end])
                    end += 1
                vectors += self._decode(texts[start:end])
            start = end
        return [_unit(vector[:dimensions]) for vector in vectors]

    def _decode(self, texts: Sequence[Sequence[int]]) -> list[list[float]]:
        batch, at = self._batch, 0
        for sequence, tokens in enumerate(texts):
            for position, token in enumerate(tokens):
                batch.token[at], batch.pos[at] = token, position
                batch.n_seq_id[at], batch.seq_id[at][0], batch.logits[at] = 1, sequence, 1
                at += 1
        batch.n_tokens = at
        memory = self._c.llama_get_memory(self.handle)
        if memory:
            self._c.llama_memory_clear(memory, True)
        status = self._c.llama_decode(self.handle, batch) if memory else self._c.llama_encode(self.handle, batch)
        if status:
            raise BackendFailedError(f"llama.cpp could not embed {at} tokens: status {status}")
        size = self._weights.dimensions
        found = []
        for sequence in range(len(texts)):
            pointer = self._c.llama_get_embeddings_seq(self.handle, sequence)
            if not pointer:
                raise BackendFailedError("llama.cpp gave no vector; the model's pooling is not one for texts")
            found.append(list(ctypes.cast(pointer, ctypes.POINTER(ctypes.c_float * size)).contents))
        return found

    def close(self) -> None:
        """Frees the context, once the call in progress has ended."""
        with self._lock:
            if self.handle:
                self._c.llama_batch_free(self._batch)
                self._c.llama_free(self.handle)
                self.handle = None


def _unit(vector: list[float]) -> list[float]:
    length = math.sqrt(math.fsum(number * number for number in vector))
    return [number / length for number in vector] if length else vector
