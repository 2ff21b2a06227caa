# SPDX-License-Identifier: Apache-2.0
"""A gateway in this process, and a repeater in one of its own."""

import json
import os
import queue
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from anyio.from_thread import BlockingPortal
from openai import AsyncOpenAI, OpenAI

from cowabungaai_api.app import create_app
from cowabungaai_api.auth.keys import generate
from cowabungaai_api.auth.service import Auth
from cowabungaai_api.config.file import GatewayConfig
from cowabungaai_api.config.settings import Settings
from cowabungaai_api.state import State

ADMIN_KEY = generate()


@dataclass(frozen=True)
class Gateway:
    """A gateway that runs in this process.

    Args:
        url: where.
        state: what it runs with.
    """

    url: str
    state: State

    def client(self, key: str = ADMIN_KEY, **options: Any) -> OpenAI:
        """The official client; without retries, so that each error is seen at once."""
        return OpenAI(base_url=f"{self.url}/openai/v1", api_key=key, **{"max_retries": 0, **options})

    def async_client(self, key: str = ADMIN_KEY) -> AsyncOpenAI:
        """The official async client; close it in the test."""
        return AsyncOpenAI(base_url=f"{self.url}/openai/v1", api_key=key, max_retries=0)

    def http(self, key: str | None = ADMIN_KEY) -> httpx.Client:
        """A plain client; close it in the test."""
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return httpx.Client(base_url=self.url, headers=headers)


Start = Callable[..., Gateway]


@contextmanager
def repeater_process(*arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The repeater as a process of its own: its address, and the process."""
    process = subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-m", "cowabungaai_repeater", "--host", "127.0.0.1", "--port", "0", *arguments],
        env={**os.environ, "COWABUNGAAI_LOG_LEVEL": "info"},
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        entries = (json.loads(line) for line in process.stderr)
        port = next(entry["port"] for entry in entries if "port" in entry)
        # A full pipe would stop the repeater.
        reader = threading.Thread(target=process.stderr.read)
        reader.start()
        yield f"127.0.0.1:{port}", process
        process.terminate()
        process.wait(20)
        reader.join(20)


@contextmanager
def running(portal: BlockingPortal, folder: Path, file: dict[str, Any], **settings: Any) -> Iterator[Gateway]:
    """A gateway with a database of its own."""

    database = folder / f"{uuid.uuid4().hex}.db"

    async def make() -> tuple[Any, State, Auth]:
        parsed = GatewayConfig.model_validate(file)
        auth = Auth(f"sqlite:///{database}", parsed.auth, ADMIN_KEY)
        await auth.open()
        return *create_app(Settings(**{"log_level": "warning", **settings}), parsed, auth), auth

    app, state, auth = portal.call(make)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, http="httptools", log_config=None, proxy_headers=False))
        task = portal.start_task_soon(server.serve, [listener])
        while not server.started:
            assert not task.done(), task.exception()
            time.sleep(0.005)
        yield Gateway(f"http://127.0.0.1:{listener.getsockname()[1]}", state)
        server.should_exit = True
        task.result()
    portal.call(auth.close)


class Process:
    """`python -m cowabungaai_api` as a process of its own, whose log is read all the time: a full pipe would stop it.

    Args:
        arguments: of the command line.
        environment: of the process.
    """

    def __init__(self, arguments: tuple[str, ...], environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "cowabungaai_api", *arguments],
            env=environment,
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.log: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.send_signal = self._process.send_signal

    def _read(self) -> None:
        for line in self._process.stderr:
            self.log.append(line)
            self._lines.put(line)
        self._lines.put(None)

    def entry(self, event: str) -> dict[str, object]:
        """The next log line about an event."""
        while (line := self._lines.get(timeout=20)) is not None:
            found = json.loads(line)
            if found["event"] == event:
                return found
        raise AssertionError(f"the process ended without saying {event!r}: {''.join(self.log)}")

    def client(self) -> OpenAI:
        """The official client."""
        return OpenAI(base_url=str(self.entry("serving")["base_url"]), api_key=ADMIN_KEY, max_retries=0)

    def end(self) -> tuple[int, str, str]:
        """Waits for the end: exit status, output, log."""
        output = self._process.stdout.read()
        self._reader.join(20)
        status = self._process.wait(20)
        self._process.stdout.close()
        self._process.stderr.close()
        return status, output, "".join(self.log)

    def kill(self) -> None:
        """Ends it, if it has not ended."""
        self._process.kill()
        if not self._process.stdout.closed:
            self.end()


Launch = Callable[..., Process]
