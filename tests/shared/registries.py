# SPDX-License-Identifier: Apache-2.0
"""A real registry on the loopback, and a proxy in front of it that fails as networks and registries do.

The proxy can ask for credentials, by Basic or by tokens, answer 429 or 503, break connections, and be gone for good
after so much of a push. What lies in the registry is looked at past the proxy.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import json
import random
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import yaml

from shared.ports import free_port

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
# What a request counts for besides its body, so that every moment of a push can be the last.
REQUEST_UNITS = 4096
CHUNK = 4096


@dataclass(frozen=True)
class Registry:
    """A registry that runs, and what lies in it."""

    port: int
    log: Path
    scheme: str = "http"

    @property
    def host(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    def get(self, path: str, **options: Any) -> httpx.Response:
        """Ask the registry itself."""
        # Whether certificates are checked is for the program to show.
        return httpx.get(f"{self.scheme}://{self.host}{path}", trust_env=False, timeout=30, verify=False, **options)  # noqa: S501

    def repositories(self) -> list[str]:
        """Names of all repositories."""
        return list(self.get("/v2/_catalog").json()["repositories"])

    def tags(self) -> dict[str, str]:
        """`repository:tag` to digest, of all tags."""
        found: dict[str, str] = {}
        for repository in self.repositories():
            for tag in self.get(f"/v2/{repository}/tags/list").json().get("tags") or []:
                answer = self.get(f"/v2/{repository}/manifests/{tag}", headers={"Accept": MANIFEST_TYPE})
                assert answer.status_code == 200, f"tag {repository}:{tag} leads nowhere: {answer.text}"
                found[f"{repository}:{tag}"] = "sha256:" + hashlib.sha256(answer.content).hexdigest()
        return found

    def check_whole(self) -> dict[str, str]:
        """Get all blobs of all tags and compare them with their digests; the tags."""
        tags = self.tags()
        for name, digest in tags.items():
            repository = name.rpartition(":")[0]
            manifest = self.get(f"/v2/{repository}/manifests/{digest}", headers={"Accept": MANIFEST_TYPE}).json()
            for part in (manifest["config"], *manifest["layers"]):
                blob = self.get(f"/v2/{repository}/blobs/{part['digest']}")
                assert blob.status_code == 200, f"{name} lacks its blob {part['digest']}"
                assert "sha256:" + hashlib.sha256(blob.content).hexdigest() == part["digest"]
        return tags


@contextlib.contextmanager
def running_registry(program: Path, folder: Path, tls: dict[str, str] | None = None) -> Iterator[Registry]:
    """A registry with its data in a folder, by TLS where certificate and key are given."""
    registry = Registry(free_port(), folder / "registry.log", "https" if tls else "http")
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "version": 0.1,
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": {"addr": registry.host, **({"tls": tls} if tls else {})},
    }
    (folder / "config.yml").write_text(yaml.safe_dump(config))
    log = registry.log
    with log.open("w") as sink:
        process = subprocess.Popen(
            [program, "serve", str(folder / "config.yml")], stdout=sink, stderr=subprocess.STDOUT, cwd=folder
        )
        try:
            deadline = time.monotonic() + 30
            while True:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                with contextlib.suppress(httpx.TransportError):
                    if registry.get("/v2/").is_success:
                        break
                time.sleep(0.05)
            yield registry
        finally:
            process.terminate()
            process.wait(30)


@dataclass
class Faults:
    """What goes wrong.

    Attributes:
        gone_after: Units of traffic after which the registry is gone for good; see REQUEST_UNITS.
        stuck_after: Units of traffic after which it takes nothing any more, and says nothing.
        chance: How likely a request fails, each in one of the ways.
        ways: 429, 503, or 0 for a connection that breaks.
        refused_manifests: How many of the first manifests are answered by 501, which clients take for final.
        retry_after: Value of that header, with 429 and 503.
        credentials: User and password that are asked for.
        by_token: Whether credentials are exchanged for a token first.
        seed: Of what is random.
    """

    gone_after: int | None = None
    stuck_after: int | None = None
    chance: float = 0.0
    ways: tuple[int, ...] = (429, 503, 0)
    refused_manifests: int = 0
    retry_after: str | None = None
    credentials: tuple[str, str] | None = None
    by_token: bool = False
    seed: int = 0


@dataclass
class Proxy:
    """A proxy that runs, and what it saw."""

    port: int
    faults: Faults
    units: int = 0
    failures: int = 0
    seen: list[tuple[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def host(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    def count(self, units: int) -> bool:
        """Add traffic; whether the registry is still there."""
        with self.lock:
            self.units += units
            return self.faults.gone_after is None or self.units <= self.faults.gone_after


@contextlib.contextmanager
def faulty(registry: Registry, faults: Faults) -> Iterator[Proxy]:
    """A proxy in front of a registry."""
    dice = random.Random(faults.seed)  # noqa: S311 - faults, not secrets
    proxy = Proxy(0, faults)

    class Handler(_Handler):
        pass

    Handler.proxy, Handler.upstream, Handler.dice = proxy, registry.port, dice.random
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        proxy.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.ended.set()
            server.shutdown()
            thread.join()


class _GoneError(Exception):
    pass


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # What is no HTTP, such as the beginning of TLS, is answered in HTTP, by which clients know that TLS is not spoken.
    default_request_version = "HTTP/1.0"
    proxy: Proxy
    upstream: int
    dice: Callable[[], float]

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""

    def _answer(self) -> None:
        proxy, faults = self.proxy, self.proxy.faults
        try:
            proxy.seen.append((self.command, self.path))
            self._still_there(REQUEST_UNITS)
            if type(self).dice() < faults.chance:
                proxy.failures += 1
                way = faults.ways[int(type(self).dice() * len(faults.ways))]
                if way == 0:
                    raise _GoneError
                self._refuse(way, {"Retry-After": faults.retry_after} if faults.retry_after else {})
            elif self.command == "PUT" and "/manifests/" in self.path and proxy.failures < faults.refused_manifests:
                proxy.failures += 1
                self._refuse(501, {})
            elif self._may_pass():
                self._forward()
        except (_GoneError, OSError, http.client.HTTPException):
            self._break()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 - the base class's names

    def _still_there(self, units: int) -> None:
        if not self.proxy.count(units):
            raise _GoneError
        stuck_after = self.proxy.faults.stuck_after
        if stuck_after is not None and self.proxy.units > stuck_after:
            self.proxy.ended.wait()
            raise _GoneError

    def _break(self) -> None:
        # A reset, not an orderly end.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _refuse(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        # The request's body is not read.
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def _may_pass(self) -> bool:
        faults = self.proxy.faults
        if faults.credentials is None:
            return True
        basic = "Basic " + base64.b64encode(":".join(faults.credentials).encode()).decode()
        token = "token-" + hashlib.sha256(basic.encode()).hexdigest()[:16]
        given, url = self.headers.get("Authorization", ""), urlsplit(self.path)
        if faults.by_token and url.path == "/token" and given == basic:
            assert parse_qs(url.query)["service"] == ["registry"]
            self._refuse(200, {"Content-Type": "application/json"}, json.dumps({"token": token}).encode())
            return False
        realm = f'Bearer realm="http://{self.headers["Host"]}/token",service="registry"'
        expected, asked = (f"Bearer {token}", realm) if faults.by_token else (basic, 'Basic realm="registry"')
        if given != expected:
            self._refuse(401, {"WWW-Authenticate": asked})
        return given == expected

    def _forward(self) -> None:
        upstream = http.client.HTTPConnection("127.0.0.1", self.upstream, timeout=60)
        with contextlib.closing(upstream):
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("connection", "authorization"):
                    upstream.putheader(name, value)
            upstream.endheaders()
            left = int(self.headers.get("Content-Length") or 0)
            while left:
                part = self.rfile.read(min(CHUNK, left))
                if not part:
                    raise _GoneError
                self._still_there(len(part))
                upstream.send(part)
                left -= len(part)
            answer = upstream.getresponse()
            body = answer.read()
        # Here the registry has done what it was asked for, and nobody may come to know.
        self._still_there(REQUEST_UNITS)
        self.send_response(answer.status)
        length = answer.headers.get("Content-Length", str(len(body)))
        for name, value in answer.headers.items():
            if name.lower() not in ("connection", "content-length", "transfer-encoding", "date", "server"):
                self.send_header(name, value)
        self.send_header("Content-Length", length if self.command == "HEAD" else str(len(body)))
        self.end_headers()
        self.wfile.write(body)
