# SPDX-License-Identifier: Apache-2.0
"""The real gateway under uvicorn on loopback, in front of the real repeater and of backends that misbehave."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from openai import AsyncOpenAI, OpenAI

from cowabungaai_sdk.backend import Backend
from cowabungaai_sdk.server import BackendServer, ServerConfig
from support import ADMIN_KEY, Gateway, Launch, Process, Start, repeater_process, running


@pytest.fixture
def anyio_backend() -> str:
    """grpc.aio knows asyncio only."""
    return "asyncio"


@pytest.fixture(scope="session")
def repeater() -> Iterator[str]:
    """The repeater's address."""
    with repeater_process() as (address, _):
        yield address


@pytest.fixture(scope="session")
def portal() -> Iterator[BlockingPortal]:
    """An event loop in a thread, for what the tests serve."""
    with start_blocking_portal() as found:
        yield found


@pytest.fixture
def start(portal: BlockingPortal, tmp_path: Path) -> Iterator[Start]:
    """Starts gateways: from a whole configuration, or from models as `name=address`, and settings."""
    with ExitStack() as stack:

        def begin(file: dict[str, Any] | None = None, models: dict[str, str] | None = None, **settings: Any) -> Gateway:
            found = file or {"models": [{"name": name, "backend": at} for name, at in (models or {}).items()]}
            return stack.enter_context(running(portal, tmp_path, found, **settings))

        yield begin


@pytest.fixture(scope="session")
def gateway(portal: BlockingPortal, repeater: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway in front of the repeater, under some names."""
    config = {
        "models": [
            {"name": "repeater", "backend": repeater, "aliases": ["gpt-test"]},
            {"name": "echo/latest", "backend": repeater, "backend_model": "repeater"},
        ]
    }
    folder = tmp_path_factory.mktemp("gateway")
    limits = {"max_body_bytes": 100_000, "max_upload_bytes": 2_000_000}
    with running(portal, folder, config, **limits) as found:
        yield found


@pytest.fixture
def client(gateway: Gateway) -> Iterator[OpenAI]:
    """The official client of `gateway`."""
    with gateway.client() as found:
        yield found


@pytest.fixture
def http(gateway: Gateway) -> Iterator[httpx.Client]:
    """A plain client of `gateway`, with its admin key."""
    with gateway.http() as found:
        yield found


@pytest.fixture
def async_client(gateway: Gateway) -> AsyncOpenAI:
    """The official async client of `gateway`; close it in the test."""
    return gateway.async_client()


@pytest.fixture
def serve(portal: BlockingPortal) -> Iterator[Callable[[Backend], str]]:
    """Serves a backend in this process; returns its address."""
    servers: list[BackendServer] = []

    def begin(backend: Backend) -> str:
        async def listen() -> int:
            server = BackendServer(backend, ServerConfig("127.0.0.1", 0, drain_s=0))
            servers.append(server)
            port = await server.start()
            await server.load()
            return port

        return f"127.0.0.1:{portal.call(listen)}"

    yield begin
    for server in servers:
        portal.call(server.stop)


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    """Starts the gateway on loopback, with a database and the tests' admin key."""
    processes: list[Process] = []

    def begin(*arguments: str, **environment: str) -> Process:
        own = {
            "COWABUNGAAI_API_HOST": "127.0.0.1",
            "COWABUNGAAI_API_PORT": "0",
            "COWABUNGAAI_API_DATABASE_URL": f"sqlite:///{tmp_path}/api.db",
            "COWABUNGAAI_API_ADMIN_KEY": ADMIN_KEY,
            "COWABUNGAAI_API_DRAIN_DELAY_SECONDS": "0",
        }
        found = {name: value for name, value in {**os.environ, **own, **environment}.items() if value}
        processes.append(Process(arguments, found))
        return processes[-1]

    yield begin
    for process in processes:
        process.kill()
