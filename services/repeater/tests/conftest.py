"""The repeater, served over real gRPC on loopback."""

from collections.abc import AsyncIterator

import pytest

from cowabungaai_repeater.backend import Repeater
from cowabungaai_sdk.client import ChatClient
from cowabungaai_sdk.server import BackendServer, ServerConfig


@pytest.fixture
def anyio_backend() -> str:
    """grpc.aio knows asyncio only."""
    return "asyncio"


@pytest.fixture
async def client() -> AsyncIterator[ChatClient]:
    """A client of a repeater that runs."""
    server = BackendServer(Repeater(), ServerConfig("127.0.0.1", 0, drain_s=0))
    port = await server.start()
    await server.load()
    async with ChatClient(f"127.0.0.1:{port}", timeout_s=5) as connected:
        yield connected
    await server.stop()
