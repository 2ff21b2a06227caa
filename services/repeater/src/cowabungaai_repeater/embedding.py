# SPDX-License-Identifier: Apache-2.0
"""Vectors: unit vectors made of the input's hash."""

import hashlib
import math
import struct

from cowabungaai_repeater.config import MAX_DIMENSIONS, RepeaterConfig
from cowabungaai_repeater.control import Control, parse
from cowabungaai_repeater.tokens import tokens
from cowabungaai_sdk.backend import Embeddings
from cowabungaai_sdk.errors import InvalidRequestError
from cowabungaai_sdk.v1.common_pb2 import TextInput, Usage
from cowabungaai_sdk.v1.embedding_pb2 import EmbeddingRequest
from cowabungaai_sdk.vectors import pack


async def embed(request: EmbeddingRequest, config: RepeaterConfig, defaults: Control) -> Embeddings:
    """Embeds the inputs: the same input has the same vector, a shorter one is the beginning of a longer one, made unit.

    Args:
        request: the inputs.
        config: has the dimensions and the context's length.
        defaults: what holds where the first input has no control.

    Raises:
        InvalidRequestError: too many dimensions, a wrong control, or an input longer than the context.
    """
    dimensions = request.dimensions if request.HasField("dimensions") else config.dimensions
    if dimensions > MAX_DIMENSIONS:
        raise InvalidRequestError(f"dimensions is {dimensions}; expected 1 to {MAX_DIMENSIONS}", "dimensions")
    control = defaults
    if request.inputs[0].WhichOneof("input") == "text":
        _, control = parse(request.inputs[0].text, defaults, "inputs[0]")
    await control.pace(0)
    vectors, total = [], 0
    for index, found in enumerate(request.inputs):
        data, count = _read(found, request.truncate, config.context_length, f"inputs[{index}]")
        vectors.append(pack(unit_vector(data, dimensions)))
        total += count
    await control.fail_at_end(len(vectors))
    return Embeddings(vectors, Usage(prompt_tokens=total))


def unit_vector(data: bytes, dimensions: int) -> list[float]:
    """A vector of length 1 that looks random.

    Args:
        data: what it is made of.
        dimensions: how many numbers it has.
    """
    raw = hashlib.shake_256(data).digest(4 * dimensions)
    # Odd numbers, so that none is 0 and no vector is.
    numbers = [number | 1 for number in struct.unpack(f"<{dimensions}i", raw)]
    length = math.hypot(*numbers)
    return [number / length for number in numbers]


def _read(found: TextInput, truncate: bool, limit: int | None, param: str) -> tuple[bytes, int]:
    """What an input is hashed from, and how many tokens it has, cut to the context where that is wanted."""
    ids = list(found.tokens.ids)
    words = [] if ids else tokens(found.text)
    count = len(ids or words)
    if limit is not None and count > limit:
        if not truncate:
            message = f"the input has {count} tokens; the context has {limit}; shorten it, or set truncate"
            raise InvalidRequestError(message, param, "context_length_exceeded")
        ids, words, count = ids[:limit], words[:limit], limit
    if ids:
        return b"tokens" + struct.pack(f"<{len(ids)}I", *ids), count
    return b"text" + "".join(words).encode(), count
