"""The real gateway under uvicorn on loopback, in front of the real repeater and of backends that misbehave."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
import uvicorn
from anyio.from_thread import BlockingPortal, start_blocking_portal
from openai import AsyncOpenAI, OpenAI

from cowabungaai_api.app import create_app
from cowabungaai_api.config import GatewayConfig, ModelRoute
from cowabungaai_sdk.backend import ChatBackend
from cowabungaai_sdk.server import BackendServer, ServerConfig

Gateway = Callable[..., str]


@pytest.fixture
def anyio_backend() -> str:
    """grpc.aio knows asyncio only."""
    return "asyncio"


@pytest.fixture(scope="session")
def repeater() -> Iterator[str]:
    """The repeater as a process of its own; its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cowabungaai_repeater", "--host", "127.0.0.1", "--port", "0"],
        env={**os.environ, "COWABUNGAAI_LOG_LEVEL": "info"},
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        yield f"127.0.0.1:{next(json.loads(line) for line in process.stderr)['port']}"
        process.terminate()
        process.communicate()


@pytest.fixture(scope="session")
def portal() -> Iterator[BlockingPortal]:
    """An event loop in a thread, for what the tests serve."""
    with start_blocking_portal() as found:
        yield found


@contextmanager
def _running(portal: BlockingPortal, config: GatewayConfig) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(create_app(config), http="httptools", log_config=None))
        running = portal.start_task_soon(server.serve, [listener])
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        running.result()


@pytest.fixture
def gateway(portal: BlockingPortal) -> Iterator[Gateway]:
    """Starts gateways from the settings of GatewayConfig, with models as `name=address`; returns the URL."""
    with ExitStack() as stack:

        def start(**settings: object) -> str:
            models = settings.pop("models")
            routes = tuple(ModelRoute(name=name, backend=backend) for name, backend in models.items())
            return stack.enter_context(_running(portal, GatewayConfig(models=routes, **settings)))

        yield start


@pytest.fixture
def serve(portal: BlockingPortal) -> Iterator[Callable[[ChatBackend], str]]:
    """Serves a backend in this process; returns its address."""
    servers: list[BackendServer] = []

    def start(backend: ChatBackend) -> str:
        async def begin() -> int:
            server = BackendServer(backend, ServerConfig("127.0.0.1", 0, drain_s=0))
            servers.append(server)
            port = await server.start()
            await server.load()
            return port

        return f"127.0.0.1:{portal.call(begin)}"

    yield start
    for server in servers:
        portal.call(server.stop)


@pytest.fixture(scope="session")
def url(portal: BlockingPortal, repeater: str) -> Iterator[str]:
    """A gateway in front of the repeater, under two names."""
    routes = (
        ModelRoute(name="repeater", backend=repeater),
        ModelRoute(name="echo/latest", backend=repeater, backend_model="repeater"),
    )
    with _running(portal, GatewayConfig(models=routes, max_body_bytes=10_000)) as running:
        yield running


def connect(url: str) -> OpenAI:
    """The official client; without retries, so that each error is seen at once."""
    return OpenAI(base_url=f"{url}/openai/v1", api_key="none", max_retries=0)


@pytest.fixture
def client(url: str) -> Iterator[OpenAI]:
    """The official client of `url`."""
    with connect(url) as found:
        yield found


@pytest.fixture
def async_client(url: str) -> AsyncOpenAI:
    """The official async client of `url`; close it in the test."""
    return AsyncOpenAI(base_url=f"{url}/openai/v1", api_key="none", max_retries=0)


@pytest.fixture
def connected() -> Iterator[Callable[[str], OpenAI]]:
    """Makes official clients of other gateways."""
    with ExitStack() as stack:
        yield lambda url: stack.enter_context(connect(url))
