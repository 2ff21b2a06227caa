# SPDX-License-Identifier: Apache-2.0
"""Models to test with, and the service over real gRPC on loopback."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from importlib.util import find_spec
from pathlib import Path

import pytest

import tiny
from cowabungaai_sdk.client import BackendClient
from cowabungaai_sdk.models import locate
from cowabungaai_sdk.server import BackendServer, ServerConfig
from cowabungaai_text_embeddings.backend import TextEmbeddings
from cowabungaai_text_embeddings.config import Settings

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
def real() -> Path:
    """The real model's folder."""
    given = os.environ.get("COWABUNGAAI_TEST_MODEL")
    if not given:
        pytest.skip("COWABUNGAAI_TEST_MODEL is not set: ./cowabunga test and dagger call test set it")
    return Path(given)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small model's folder."""
    return tiny.make(tmp_path / "tiny")


@pytest.fixture(params=["onnx", pytest.param("torch", marks=pytest.mark.torch)])
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine: both flavors keep one contract."""
    if request.param == "torch" and not find_spec("sentence_transformers"):
        pytest.skip("torch and sentence-transformers are not installed: they are in the gpu flavor only")
    return str(request.param)


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Serves folders, by ONNX Runtime where nothing else is said; stops at the end."""
    async with AsyncExitStack() as stack:

        async def start(
            *folders: Path | str, max_concurrency: int | None = None, max_queue: int = 64, **settings: object
        ) -> BackendClient:
            backend = TextEmbeddings([locate(str(folder)) for folder in folders], Settings(**settings))
            config = ServerConfig("127.0.0.1", 0, drain_s=0, max_concurrency=max_concurrency, max_queue=max_queue)
            server = BackendServer(backend, config)
            port = await server.start()
            stack.push_async_callback(server.stop)
            await server.load()
            return await stack.enter_async_context(BackendClient(f"127.0.0.1:{port}", timeout_s=30))

        yield start


@pytest.fixture
def serve_any(serve: Serve, engine: str) -> Serve:
    """Serves folders by each engine, in float32."""

    async def start(*folders: Path | str, **settings: object) -> BackendClient:
        return await serve(*folders, **{"engine": engine, "precision": "float32", **settings})

    return start
