"""What the tests ask, and how they read the answers."""

from typing import Any

import numpy as np

from cowabungaai_sdk.client import BackendClient
from cowabungaai_sdk.v1.common_pb2 import TextInput, TokenIds
from cowabungaai_sdk.v1.embedding_pb2 import EmbeddingRequest


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
