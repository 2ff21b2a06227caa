# SPDX-License-Identifier: Apache-2.0
"""Looks for secrets where none may be: in what is printed, in traces, and in files."""

from __future__ import annotations

import base64
import contextlib
import gzip
import io
import itertools
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import zstandard

# How archives begin.
ZSTANDARD, GZIP = b"\x28\xb5\x2f\xfd", b"\x1f\x8b"


@dataclass
class Traces:
    """What a collector of OpenTelemetry's got: traces, logs and metrics.

    Attributes:
        received: Bodies of all requests, unpacked.
    """

    received: list[bytes] = field(default_factory=list)

    def of(self, call: str) -> bytes:
        """All of it, which must tell of a function of the module, named as in its interface."""
        seen = b"".join(self.received)
        assert f"Cowabungaai.{call}".encode() in seen, f"the collector got no traces of {call}"
        return seen


@contextlib.contextmanager
def collecting() -> Iterator[Traces]:
    """A collector on the loopback, to which programs send that are started meanwhile."""
    traces = Traces()

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            traces.received.append(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
        patch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield traces
        finally:
            server.shutdown()
            thread.join()


def shown(secret: str, *places: str | bytes | Path) -> list[str]:
    """Where a secret is to be seen, as it is or in base64, alone or inside of something else.

    Args:
        secret: The secret.
        places: Texts, and files or folders; archives are opened, and those inside of them.
    """
    forms = (secret.encode(), *(_encoded(secret.encode(), before) for before in range(3)))
    found = []
    for number, place in enumerate(places):
        for name, content in _contents(place, f"text {number}"):
            found += [inside for inside, opened in _opened(name, content) if any(form in opened for form in forms)]
    return found


def _encoded(secret: bytes, before: int) -> bytes:
    """What base64 has of a secret behind so many bytes, whichever they are and whatever follows."""
    # Three bytes make four letters; those at both ends may depend on neighbours, and are left out.
    encoded = base64.b64encode(bytes(before) + secret)
    return encoded[-(-before * 4 // 3) : (before + len(secret)) // 3 * 4]


def _opened(name: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    """A content as it is, and what is packed in it."""
    yield name, content
    if content.startswith(ZSTANDARD):
        with zstandard.ZstdDecompressor().stream_reader(content, read_across_frames=True) as plain:
            yield from _opened(f"{name}, unpacked", plain.read())
    elif content.startswith(GZIP):
        yield from _opened(f"{name}, unpacked", gzip.decompress(content))
    elif content[257:262] == b"ustar":
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            for member in archive:
                # What is not packed itself has been seen as a part of the archive.
                if member.isreg() and (file := archive.extractfile(member)):
                    yield from itertools.islice(_opened(f"{name}: {member.name}", file.read()), 1, None)


def _contents(place: str | bytes | Path, name: str) -> Iterator[tuple[str, bytes]]:
    if isinstance(place, Path):
        files = [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]
        assert files, f"{place} holds no file"
        yield from ((str(path), path.read_bytes()) for path in files)
    else:
        yield name, place.encode() if isinstance(place, str) else place
