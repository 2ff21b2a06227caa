# SPDX-License-Identifier: Apache-2.0
"""A replica that speaks the contract over gRPC."""

from collections.abc import AsyncGenerator, Sequence

from cowabungaai_api.upstream.base import Call, Operation, Reply
from cowabungaai_sdk.client import BackendClient
from cowabungaai_sdk.errors import BackendError
from cowabungaai_sdk.v1.models_pb2 import Model


class GrpcUpstream:
    """Calls one replica; implements Upstream.

    Args:
        address: `HOST:PORT`.
        max_message_bytes: the largest message, in bytes.
    """

    def __init__(self, address: str, max_message_bytes: int) -> None:
        self._client = BackendClient(address, max_message_bytes=max_message_bytes)

    async def unary(self, operation: Operation, call: Call, model: str) -> Reply:
        """See Upstream."""
        return await operation.unary(self._client, call, model)

    def stream(self, operation: Operation, call: Call, model: str) -> AsyncGenerator[bytes, None]:
        """See Upstream."""
        return operation.stream(self._client, call, model)

    async def healthy(self, timeout_s: float) -> bool:
        """See Upstream."""
        try:
            return await self._client.check_health(timeout_s=timeout_s)
        except BackendError:
            return False

    async def models(self, timeout_s: float) -> Sequence[Model]:
        """See Upstream."""
        return await self._client.models(timeout_s=timeout_s)

    async def close(self) -> None:
        """See Upstream."""
        await self._client.close()
