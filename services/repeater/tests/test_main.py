# SPDX-License-Identifier: Apache-2.0
"""`python -m cowabungaai_repeater`, as a process of its own."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from conversations import said
from cowabungaai_sdk.client import BackendClient


@pytest.fixture
def process() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts repeaters on free ports of loopback; ends them."""
    processes: list[subprocess.Popen[str]] = []

    def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
        found = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "cowabungaai_repeater", *arguments],
            env={**os.environ, "COWABUNGAAI_HOST": "127.0.0.1", "COWABUNGAAI_PORT": "0", **environment},
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(found)
        return found

    yield start
    for found in processes:
        found.kill()
        found.communicate()


def serving(process: subprocess.Popen[str]) -> int:
    """Waits until the process serves; its port."""
    entries = (json.loads(line) for line in process.stderr)
    port = next(entry["port"] for entry in entries if entry["event"] == "listening")
    next(entry for entry in entries if entry["event"] == "serving")
    return port


def test_probe_finds_it_healthy(process):
    command = [sys.executable, "-m", "cowabungaai_sdk.probe", f"127.0.0.1:{serving(process())}"]
    assert subprocess.run(command, check=False).returncode == 0  # noqa: S603 - our own module


def test_sigterm_exits_with_0(process):
    found = process()
    serving(found)
    found.terminate()
    assert found.wait(5) == 0


@pytest.mark.anyio
async def test_settings_reach_the_backend(process):
    arguments = [
        "--port",
        "0",
        "--model",
        "a",
        "--model",
        "b",
        "--name",
        "r7",
        "--context-length",
        "9",
        "--delay-ms",
        "1",
    ]
    found = process(*arguments, "--dimensions", "5", "--first-delay-ms", "1.5")
    port = await asyncio.to_thread(serving, found)
    async with BackendClient(f"127.0.0.1:{port}", timeout_s=5) as client:
        models, answer = await client.models(), await client.chat(said("hi", model="b"))
    assert [(model.id, model.context_length, model.dimensions) for model in models] == [("a", 9, 5), ("b", 9, 5)]
    assert answer.system_fingerprint == "r7"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--models", "a,"], "'a,' has an empty name; expected names with commas between them"),
        (["--dimensions", "0"], "got '0'; expected a whole number from 1 to 4096"),
        (["--dimensions", "5000"], "got '5000'; expected a whole number from 1 to 4096"),
        (["--delay-ms", "-1"], "got '-1'; expected milliseconds from 0"),
        (["--delay-ms", "x"], "got 'x'; expected milliseconds from 0"),
    ],
)
def test_wrong_settings_exit_with_2(process, arguments, message):
    found = process(*arguments)
    assert message in found.communicate(timeout=5)[1]
    assert found.returncode == 2


def test_names_of_the_environment_are_served(process):
    found = process(COWABUNGAAI_MODELS="a, b")
    assert models(found) == ["a", "b"]


def models(found: subprocess.Popen[str]) -> list[str]:
    """Waits until the process serves; its models."""
    return next(entry["models"] for entry in map(json.loads, found.stderr) if entry["event"] == "serving")
