# SPDX-License-Identifier: Apache-2.0
"""A backend with a real model, served over real gRPC on loopback."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cowabungaai_llama_cpp.backend import LlamaBackend
from cowabungaai_llama_cpp.config import LlamaConfig
from cowabungaai_sdk.client import BackendClient
from cowabungaai_sdk.cpus import usable_cpus
from cowabungaai_sdk.models import locate
from cowabungaai_sdk.server import BackendServer, ServerConfig
from support import MODEL_ID


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """grpc.aio knows asyncio only."""
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
async def one_event_loop(anyio_backend: str) -> AsyncIterator[None]:
    """Keeps one loop for all tests: gRPC may have a last event for a loop that was closed already, and fail on it."""
    yield  # noqa: PT022 - the loop is closed once this fixture has ended


@pytest.fixture(scope="session")
def model_folder() -> Path:
    """The folder of the real model."""
    given = os.environ.get("COWABUNGAAI_TEST_MODEL")
    if not given:
        pytest.skip("COWABUNGAAI_TEST_MODEL is not set: ./cowabunga test and dagger call test set it")
    return Path(given)


@pytest.fixture(scope="session")
def backend(model_folder: Path) -> LlamaBackend:
    """The backend; one for all tests, since a start takes a while."""
    config = LlamaConfig(context_length=1024, parallel=4, threads=usable_cpus(), chat_template="alpaca")
    return LlamaBackend([locate(f"{MODEL_ID}={model_folder}")], config)


@pytest.fixture(scope="session")
async def client(backend: LlamaBackend) -> AsyncIterator[BackendClient]:
    """A client of the served backend."""
    server = BackendServer(backend, ServerConfig("127.0.0.1", 0, drain_s=0))
    port = await server.start()
    await server.load()
    async with BackendClient(f"127.0.0.1:{port}", timeout_s=120) as found:
        yield found
    await server.stop()
