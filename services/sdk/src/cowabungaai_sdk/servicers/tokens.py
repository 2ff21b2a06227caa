# SPDX-License-Identifier: Apache-2.0
"""TokenService on top of a TokenCounter."""

from cowabungaai_sdk.backend import TokenCounter
from cowabungaai_sdk.catalog import Catalog
from cowabungaai_sdk.checks import check_token_count
from cowabungaai_sdk.servicers.calls import Calls, Context
from cowabungaai_sdk.v1.models_pb2 import CAPABILITY_TOKEN_COUNT
from cowabungaai_sdk.v1.tokens_pb2 import CountTokensRequest, CountTokensResponse
from cowabungaai_sdk.v1.tokens_pb2_grpc import TokenServiceServicer


class TokenServicer(TokenServiceServicer):
    """Serves token counts.

    Args:
        backend: what counts.
        catalog: its models.
        calls: the server's calls.
    """

    def __init__(self, backend: TokenCounter, catalog: Catalog, calls: Calls) -> None:
        self._backend = backend
        self._catalog = catalog
        self._calls = calls

    async def CountTokens(self, request: CountTokensRequest, context: Context) -> CountTokensResponse:
        """Counts the tokens of an input; see tokens.proto."""
        async with self._calls.serve("CountTokens", context) as call:
            self._catalog.find(request.model, CAPABILITY_TOKEN_COUNT)
            call.model = request.model
            check_token_count(request)
            return CountTokensResponse(count=await self._backend.count_tokens(request))
        raise AssertionError("unreachable: serve aborts the call where the body raises")
