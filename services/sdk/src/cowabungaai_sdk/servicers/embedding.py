# SPDX-License-Identifier: Apache-2.0
"""EmbeddingService on top of an EmbeddingBackend."""

from cowabungaai_sdk.backend import EmbeddingBackend
from cowabungaai_sdk.catalog import Catalog
from cowabungaai_sdk.checks import check_embedding
from cowabungaai_sdk.errors import BackendFailedError
from cowabungaai_sdk.servicers.calls import Calls, Context
from cowabungaai_sdk.v1.embedding_pb2 import EmbeddingRequest, EmbeddingResponse
from cowabungaai_sdk.v1.embedding_pb2_grpc import EmbeddingServiceServicer
from cowabungaai_sdk.v1.models_pb2 import CAPABILITY_EMBEDDING


class EmbeddingServicer(EmbeddingServiceServicer):
    """Serves vectors.

    Args:
        backend: what makes them.
        catalog: its models.
        calls: the server's calls.
    """

    def __init__(self, backend: EmbeddingBackend, catalog: Catalog, calls: Calls) -> None:
        self._backend = backend
        self._catalog = catalog
        self._calls = calls

    async def Embed(self, request: EmbeddingRequest, context: Context) -> EmbeddingResponse:
        """Embeds the inputs; see embedding.proto."""
        async with self._calls.serve("Embed", context) as call:
            self._catalog.find(request.model, CAPABILITY_EMBEDDING)
            call.model = request.model
            check_embedding(request)
            async with self._calls.slot(call):
                found = await self._backend.embed(request)
            call.piece()
            call.prompt_tokens = found.usage.prompt_tokens
            if len(found.vectors) != len(request.inputs):
                given = f"{len(found.vectors)} vectors for {len(request.inputs)} inputs"
                raise BackendFailedError(f"the backend gave {given}")
            return EmbeddingResponse(model=request.model, vectors=found.vectors, usage=found.usage)
        raise AssertionError("unreachable: serve aborts the call where the body raises")
