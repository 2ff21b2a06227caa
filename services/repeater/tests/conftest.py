# SPDX-License-Identifier: Apache-2.0
"""The repeater, served over real gRPC on loopback."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from cowabungaai_repeater.backend import Repeater
from cowabungaai_repeater.config import RepeaterConfig
from cowabungaai_sdk.client import BackendClient
from cowabungaai_sdk.server import BackendServer, ServerConfig

Serve = Callable[..., Awaitable[BackendClient]]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """grpc.aio knows asyncio only."""
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
async def one_event_loop(anyio_backend: str) -> AsyncIterator[None]:
    """Keeps one loop for all tests: gRPC may have a last event for a loop that was closed already, and fail on it."""
    yield  # noqa: PT022 - the loop is closed once this fixture has ended


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Serves repeaters; stops them at the end."""
    async with AsyncExitStack() as stack:

        async def start(**settings: object) -> BackendClient:
            server = BackendServer(Repeater(RepeaterConfig(**settings)), ServerConfig("127.0.0.1", 0, drain_s=0))
            port = await server.start()
            stack.push_async_callback(server.stop)
            await server.load()
            return await stack.enter_async_context(BackendClient(f"127.0.0.1:{port}", timeout_s=5))

        yield start


@pytest.fixture
async def client(serve: Serve) -> BackendClient:
    """A client of a repeater with its defaults."""
    return await serve()
