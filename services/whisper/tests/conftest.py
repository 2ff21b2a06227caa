# SPDX-License-Identifier: Apache-2.0
"""Backends on loopback, with a model by chance, or a real one."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from cowabungaai_sdk.client import BackendClient
from cowabungaai_sdk.models import LocalModel
from cowabungaai_sdk.server import BackendServer, ServerConfig
from cowabungaai_whisper.backend import Whisper
from cowabungaai_whisper.config import WhisperConfig
from support import small_model

Serve = Callable[..., Awaitable[BackendClient]]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """grpc.aio knows asyncio only."""
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
async def one_event_loop(anyio_backend: str) -> AsyncIterator[None]:
    """Keeps one loop for all tests: gRPC may have a last event for a loop that was closed already, and fail on it."""
    yield  # noqa: PT022 - the loop is closed once this fixture has ended


@pytest.fixture(scope="session")
def multilingual(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    """A model that writes nonsense, in any language."""
    return small_model(tmp_path_factory.mktemp("multilingual"))


@pytest.fixture(scope="session")
def real() -> LocalModel:
    """A real model of English."""
    folder = os.environ.get("COWABUNGAAI_TEST_MODEL")
    if not folder:
        pytest.skip("COWABUNGAAI_TEST_MODEL is not set: ./cowabunga test and dagger call test set it")
    return LocalModel("m", Path(folder))


@pytest.fixture(scope="session")
async def start(one_event_loop: None) -> AsyncIterator[Serve]:
    """Serves models; stops all at the end."""
    async with AsyncExitStack() as stack:

        async def serve(*models: LocalModel, **settings: object) -> BackendClient:
            backend = Whisper(models, WhisperConfig(device="cpu", **settings))
            server = BackendServer(backend, ServerConfig("127.0.0.1", 0, drain_s=0))
            port = await server.start()
            stack.push_async_callback(server.stop)
            await server.load()
            return await stack.enter_async_context(BackendClient(f"127.0.0.1:{port}", timeout_s=120))

        yield serve


@pytest.fixture(scope="session")
async def chance(start: Serve, multilingual: LocalModel) -> BackendClient:
    """A client of the model by chance."""
    return await start(multilingual, compute_type="float32")


@pytest.fixture(scope="session")
async def english(start: Serve, real: LocalModel) -> BackendClient:
    """A client of the real model."""
    return await start(real)
