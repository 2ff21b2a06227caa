# SPDX-License-Identifier: Apache-2.0
"""A port that a program opens on all addresses is reached from the machine's loopback alone."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from cowabunga.process import need
from shared.ports import listening

SERVER = """
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Echo(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)
ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])), Echo).serve_forever()
"""


@contextmanager
def kept(command: list[str], listener: socket.socket) -> Iterator[subprocess.Popen[bytes]]:
    """A command in a network of its own, whose port is passed on to."""
    port = listener.getsockname()[1]
    inside = [need("unshare"), "--net", sys.executable, "-m", "cowabunga.loopback", str(listener.fileno()), str(port)]
    with subprocess.Popen([*inside, *command], pass_fds=[listener.fileno()], stderr=subprocess.DEVNULL) as process:
        listener.close()
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A socket that is bound and does not listen."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound


def test_only_the_loopback_reaches_it(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    with kept([sys.executable, "-c", SERVER, str(port)], listener) as process:
        deadline = time.monotonic() + 30
        while not listening(port):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert listening(port) == {"0100007F"}
        large = os.urandom(5_000_000)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            assert client.post("/", content=large).content == large
            assert client.post("/", content=b"again").content == b"again"
    assert process.returncode == 128 + signal.SIGTERM
    assert not listening(port)


def test_the_exit_code_is_the_commands(listener: socket.socket) -> None:
    with kept([sys.executable, "-c", "raise SystemExit(7)"], listener) as process:
        assert process.wait(30) == 7
