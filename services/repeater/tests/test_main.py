"""`python -m cowabungaai_repeater`, as a process of its own."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

START_S = 3.0
"""Bound for a busy machine; an idle one needs a tenth of it."""


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    """The repeater on a free port of loopback, by its environment."""
    found = subprocess.Popen(
        [sys.executable, "-m", "cowabungaai_repeater"],
        env={**os.environ, "COWABUNGAAI_HOST": "127.0.0.1", "COWABUNGAAI_PORT": "0"},
        stderr=subprocess.PIPE,
        text=True,
    )
    yield found
    found.kill()
    found.communicate()


def serving(process: subprocess.Popen[str]) -> int:
    """Waits until the process serves; its port."""
    entries = (json.loads(line) for line in process.stderr)
    port = next(entry["port"] for entry in entries if entry["event"] == "listening")
    next(entry for entry in entries if entry["event"] == "serving")
    return port


def test_probe_finds_it_healthy(process):
    command = [sys.executable, "-m", "cowabungaai_sdk.probe", f"127.0.0.1:{serving(process)}"]
    assert subprocess.run(command, check=False).returncode == 0  # noqa: S603 - our own module


def test_starts_quickly(process):
    started = time.monotonic()
    serving(process)
    assert time.monotonic() - started < START_S


def test_sigterm_exits_with_0(process):
    serving(process)
    process.terminate()
    assert process.wait(5) == 0
