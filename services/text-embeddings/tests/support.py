# SPDX-License-Identifier: Apache-2.0
"""What the tests ask, how they read the answers, and how they watch the engine."""

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from cowabungaai_sdk.client import BackendClient
from cowabungaai_sdk.v1.common_pb2 import TextInput, TokenIds
from cowabungaai_sdk.v1.embedding_pb2 import EmbeddingRequest
from cowabungaai_text_embeddings.backend import TextEmbeddings
from cowabungaai_text_embeddings.engine_onnx import OnnxEngine


def request(inputs: list[Any], model: str = "tiny", **parameters: Any) -> EmbeddingRequest:
    """A request; an input is a text, or a list of tokens."""
    given = [TextInput(text=one) if isinstance(one, str) else TextInput(tokens=TokenIds(ids=one)) for one in inputs]
    return EmbeddingRequest(model=model, inputs=given, **parameters)


async def embed(client: BackendClient, inputs: list[Any], **parameters: Any) -> np.ndarray:
    """The vectors of inputs, [inputs, dimensions]."""
    answer = await client.embed(request(inputs, **parameters))
    return np.array([np.frombuffer(vector, "<f4") for vector in answer.vectors])


def cosines(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The cosine of each vector with its counterpart."""
    return (found * wanted).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(wanted, axis=1)


async def queued(backend: TextEmbeddings, count: int) -> None:
    """Waits until the engine's queue of the model `tiny` holds so many requests."""
    jobs = backend._models["tiny"]._batcher._jobs
    async with asyncio.timeout(20):
        while len(jobs) < count:  # noqa: ASYNC110 - the queue is another thread's, and tells nobody
            await asyncio.sleep(0.01)


class Watch:
    """Sees the batches of the real engine, and holds them up until `go` is called.

    Args:
        monkeypatch: puts the watch between the service and the engine.
    """

    def __init__(self, monkeypatch: Any) -> None:
        self.batches: list[list[int]] = []
        """The lengths of each batch's texts, the first batch first."""
        self.began = threading.Event()
        self._open = threading.Event()
        own = OnnxEngine.vectors

        def vectors(engine: OnnxEngine, texts: Sequence[Any]) -> np.ndarray:
            self.batches.append([len(text) for text in texts])
            self.began.set()
            assert self._open.wait(20)
            return own(engine, texts)

        monkeypatch.setattr(OnnxEngine, "vectors", vectors)

    def go(self) -> None:
        """Lets all batches pass from now on."""
        self._open.set()
