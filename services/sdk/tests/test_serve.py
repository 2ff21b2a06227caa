"""The command line, as a process of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts `python -m cowabungaai_sdk.serve` with the tests' backends importable."""
    processes: list[subprocess.Popen[str]] = []

    def start_process(*arguments: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "cowabungaai_sdk.serve", *arguments],
            env={
                **os.environ,
                "PYTHONPATH": str(Path(__file__).parent),
                "COWABUNGAAI_HOST": "127.0.0.1",
                **environment,
            },
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield start_process
    for process in processes:
        process.kill()
        process.communicate()


def wait_for(process: subprocess.Popen[str], event: str) -> dict[str, object]:
    for line in process.stderr:
        if (entry := json.loads(line))["event"] == event:
            return entry
    raise AssertionError(f"the process ended without the event {event!r}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_drains_and_exits_with_0(start, number):
    process = start("sample_backends:Words", "--port", "0")
    wait_for(process, "serving")
    process.send_signal(number)
    wait_for(process, "stopped")
    assert process.wait(5) == 0


def test_signal_while_loading_exits_with_0(start):
    process = start("sample_backends:SlowToLoad", "--port", "0")
    wait_for(process, "listening")
    process.terminate()
    assert process.wait(5) == 0


def test_failed_load_exits_with_1_and_is_logged(start):
    process = start("sample_backends:Unloadable", "--port", "0")
    assert wait_for(process, "load failed")["exception"] == "builtins.FileNotFoundError"
    assert "error: the backend could not load: FileNotFoundError" in process.communicate(timeout=5)[1]
    assert process.returncode == 1


@pytest.mark.parametrize(
    ("backend", "message"),
    [
        ("sample_backends", "'sample_backends' is not of the form package.module:Class"),
        ("no_such_module:Words", "cannot import 'no_such_module'"),
        ("sample_backends:Nothing", "module 'sample_backends' has no class 'Nothing'"),
    ],
)
def test_unknown_backend_exits_with_2_and_says_what_is_missing(start, backend, message):
    process = start(backend)
    assert message in process.communicate(timeout=5)[1]
    assert process.returncode == 2


def test_bad_port_in_the_environment_exits_with_2(start):
    process = start("sample_backends:Words", COWABUNGAAI_PORT="99999")
    assert "'99999' is not a port; expected 0 to 65535" in process.communicate(timeout=5)[1]
    assert process.returncode == 2
