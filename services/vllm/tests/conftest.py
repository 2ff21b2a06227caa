# SPDX-License-Identifier: Apache-2.0
"""The backend on an engine double, served over real gRPC on loopback."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

import double
from cowabungaai_sdk.client import BackendClient
from cowabungaai_sdk.models import locate
from cowabungaai_sdk.server import BackendServer, ServerConfig
from cowabungaai_vllm import backend as backends
from cowabungaai_vllm.backend import VllmBackend
from cowabungaai_vllm.config import Config


@dataclass(frozen=True)
class Served:
    """A backend that is served, the engine in it, and a client."""

    client: BackendClient
    engine: double.Engine


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
def folder(tmp_path: Path) -> Path:
    """A model's folder, as far as the backend looks at it."""
    found = tmp_path / "small"
    found.mkdir()
    (found / "config.json").write_text("{}")
    (found / "model.safetensors").write_bytes(b"weights")
    return found


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """An adapter's folder, as far as the backend looks at it."""
    found = tmp_path / "adapter"
    found.mkdir()
    (found / "adapter_config.json").write_text(json.dumps({"r": 8}))
    return found


@pytest.fixture
async def serve(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Serve]:
    """Serves backends on engine doubles; stops them at the end."""
    monkeypatch.setattr(backends, "WATCH_S", 0.01)
    library = double.library()
    async with AsyncExitStack() as stack:

        async def start(**settings: object) -> Served:
            backend = VllmBackend(locate(str(folder)), Config(**settings), lambda: library)
            server = BackendServer(backend, ServerConfig("127.0.0.1", 0, drain_s=0))
            port = await server.start()
            stack.push_async_callback(server.stop)
            await server.load()
            client = await stack.enter_async_context(BackendClient(f"127.0.0.1:{port}", timeout_s=5))
            return Served(client, double.Engine.made)

        yield start


@pytest.fixture
async def served(serve: Serve) -> Served:
    """A backend without any setting."""
    return await serve()
