# SPDX-License-Identifier: Apache-2.0
"""The gateway and a backend as plain processes from the sources, for runs without a gateway of one's own."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conformance.target import Target

START_S = 60


@contextmanager
def started(folder: Path, backend: str) -> Iterator[Target]:
    """A gateway in front of a backend, for as long as the context lasts.

    Args:
        folder: for the database and the logs.
        backend: its service; one that needs a model serves those that the launcher has for it.
    """
    # Only here: where the suite runs against a gateway of its own, the launcher is not there.
    from cowabunga import models, services

    words, variables = services.command("api", ["keys", "generate"])
    key = subprocess.run(
        words, env={**os.environ, **variables}, check=True, capture_output=True, text=True
    ).stdout.strip()
    own = models.arguments_for(backend, [])
    arguments = [*own, "--host", "127.0.0.1", "--port", "0"]
    with _process(backend, arguments, models.settings_of(backend), folder) as address:
        config = folder / "models.yaml"
        served = [entry.id for entry in models.ensure(backend)][:1] or [backend]
        model = {"name": backend, "aliases": ["echo"], "backend": f"127.0.0.1:{address}", "backend_model": served[0]}
        config.write_text(json.dumps({"models": [model]}))
        settings = {
            "COWABUNGAAI_API_DATABASE_URL": f"sqlite:///{folder / 'api.db'}",
            "COWABUNGAAI_API_ADMIN_KEY": key,
            "COWABUNGAAI_API_DRAIN_DELAY_SECONDS": "0",
        }
        arguments = ["serve", "--config", str(config), "--host", "127.0.0.1", "--port", "0"]
        with _process("api", arguments, settings, folder) as port:
            yield Target(f"http://127.0.0.1:{port}", key)


@contextmanager
def _process(name: str, arguments: list[str], settings: dict[str, str], folder: Path) -> Iterator[int]:
    """A service as a process; the port that its log names."""
    from cowabunga import services

    words, variables = services.command(name, arguments)
    log = folder / f"{name}.log"
    environment = {**os.environ, **variables, **settings, "COWABUNGAAI_LOG_LEVEL": "info"}
    with log.open("w") as sink, subprocess.Popen(words, env=environment, stderr=sink) as process:
        try:
            yield _port(name, process, log)
        finally:
            process.terminate()


def _port(name: str, process: subprocess.Popen[bytes], log: Path) -> int:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        text = log.read_text()
        for line in text.splitlines(keepends=True):
            if line.startswith("{") and line.endswith("\n") and "port" in (entry := json.loads(line)):
                return int(entry["port"])
        if process.poll() is not None:
            raise RuntimeError(f"{name} ended with {process.returncode}: {text}")
        time.sleep(0.05)
    raise RuntimeError(f"{name} named no port within {START_S} s: {log.read_text()}")
