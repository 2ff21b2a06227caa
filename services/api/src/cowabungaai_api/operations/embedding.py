# SPDX-License-Identifier: Apache-2.0
"""embeddings: asks the backend, and writes its vectors as OpenAI's JSON."""

import base64

import orjson

from cowabungaai_api.operations.common import Whole, text_inputs
from cowabungaai_api.schemas.base import Request
from cowabungaai_api.schemas.embedding_request import EmbeddingRequest
from cowabungaai_api.upstream.base import Call, Reply
from cowabungaai_sdk.client import BackendClient
from cowabungaai_sdk.errors import BackendFailedError
from cowabungaai_sdk.v1 import embedding_pb2
from cowabungaai_sdk.vectors import unpack


class Embedding(Whole):
    """The operation; implements Operation."""

    path = "/embeddings"
    request: type[Request] = EmbeddingRequest

    async def unary(self, client: BackendClient, call: Call, model: str) -> Reply:
        """See Operation."""
        request = call.request
        asked = embedding_pb2.EmbeddingRequest(
            model=model, inputs=text_inputs(request.input), dimensions=request.dimensions, user=request.user
        )
        answer = await client.embed(asked, timeout_s=call.timeout_s, metadata=call.metadata)
        if len(answer.vectors) != len(asked.inputs):
            raise BackendFailedError(f"{len(asked.inputs)} inputs got {len(answer.vectors)} vectors")
        call.use.prompt = answer.usage.prompt_tokens
        write = _base64 if request.encoding_format == "base64" else unpack
        body = {
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": write(vector)}
                for index, vector in enumerate(answer.vectors)
            ],
            "model": request.model,
            "usage": {"prompt_tokens": call.use.prompt, "total_tokens": call.use.prompt},
        }
        return Reply(orjson.dumps(body))


def _base64(vector: bytes) -> str:
    """The contract's bytes are those that OpenAI's clients read: float32, little-endian."""
    return base64.b64encode(vector).decode()
