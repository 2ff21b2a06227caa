# SPDX-License-Identifier: Apache-2.0
"""Embeddings: inputs checked and cut, vectors packed."""

from cowabungaai_llama_cpp import request
from cowabungaai_llama_cpp.model import ServedModel
from cowabungaai_sdk import vectors
from cowabungaai_sdk.backend import Embeddings
from cowabungaai_sdk.blocking import CancelToken, run_blocking
from cowabungaai_sdk.errors import BackendFailedError, InvalidRequestError
from cowabungaai_sdk.v1.common_pb2 import TextInput, Usage
from cowabungaai_sdk.v1.embedding_pb2 import EmbeddingRequest

MAX_INPUTS = 2048
"""The most inputs of a request, as OpenAI has it."""


async def embed(model: ServedModel, asked: EmbeddingRequest) -> Embeddings:
    """Embeds the inputs.

    Args:
        model: who does.
        asked: the inputs, checked by the SDK.

    Raises:
        InvalidRequestError: an input is too long, or dimensions is more than the model has.
    """
    return await run_blocking(model.threads, _embed, model, asked)


def _embed(cancel: CancelToken, model: ServedModel, asked: EmbeddingRequest) -> Embeddings:
    if model.embedder is None:
        raise BackendFailedError("the model makes no vectors")
    if len(asked.inputs) > MAX_INPUTS:
        raise InvalidRequestError(f"there are {len(asked.inputs)} inputs; expected at most {MAX_INPUTS}", "inputs")
    size = model.weights.dimensions
    dimensions = asked.dimensions if asked.HasField("dimensions") else None
    if dimensions is not None and dimensions > size:
        raise InvalidRequestError(f"dimensions is {dimensions}; expected at most {size}", "dimensions")
    texts = [_tokens(model, given, f"inputs[{index}]", asked.truncate) for index, given in enumerate(asked.inputs)]
    found = model.embedder.embed(cancel, texts, dimensions)
    usage = Usage(prompt_tokens=sum(map(len, texts)))
    return Embeddings([vectors.pack(vector) for vector in found], usage)


def _tokens(model: ServedModel, given: TextInput, param: str, truncate: bool) -> list[int]:
    limits = model.limits
    if truncate and given.WhichOneof("input") == "text" and len(given.text) > limits.text_bytes:
        given = TextInput(text=given.text[: limits.text_bytes])
    tokens = request.tokens_of(limits, given, param)
    if len(tokens) <= limits.length:
        return tokens
    if not truncate:
        message = f"{param} has {len(tokens)} tokens, which exceed the context of {limits.length}; set truncate"
        raise InvalidRequestError(message, param, "context_length_exceeded")
    # The token that ends a text stays at its end.
    ends = given.WhichOneof("input") == "text" and tokens[-1] in (model.weights.eos, model.weights.sep)
    return [*tokens[: limits.length - 1], tokens[-1]] if ends else tokens[: limits.length]
