# SPDX-License-Identifier: Apache-2.0
"""Backends served over real gRPC on loopback."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

from cowabungaai_sdk.backend import Backend
from cowabungaai_sdk.client import BackendClient
from cowabungaai_sdk.server import BackendServer, ServerConfig
from cowabungaai_sdk.v1.chat_pb2 import ROLE_USER, ChatMessage, ChatRequest, ContentPart


@dataclass(frozen=True)
class Served:
    """A backend that is served, and a client of it."""

    server: BackendServer
    client: BackendClient
    target: str


Serve = Callable[..., Awaitable[Served]]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """grpc.aio knows asyncio only."""
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
async def one_event_loop(anyio_backend: str) -> AsyncIterator[None]:
    """Keeps one loop for all tests: gRPC may have a last event for a loop that was closed already, and fail on it."""
    yield  # noqa: PT022 - the loop is closed once this fixture has ended


@pytest.fixture
def request_() -> ChatRequest:
    """A request for one answer of the model `words`."""
    message = ChatMessage(role=ROLE_USER, content=[ContentPart(text="the secret plan")])
    return ChatRequest(model="words", messages=[message])


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Serves backends; stops them at the end."""
    async with AsyncExitStack() as stack:

        async def start(backend: Backend, load: bool = True, **settings: object) -> Served:
            server = BackendServer(backend, ServerConfig("127.0.0.1", 0, **{"drain_s": 0.2, **settings}))
            target = f"127.0.0.1:{await server.start()}"
            stack.push_async_callback(server.stop)
            if load:
                await server.load()
            return Served(server, await stack.enter_async_context(BackendClient(target, timeout_s=5)), target)

        yield start
