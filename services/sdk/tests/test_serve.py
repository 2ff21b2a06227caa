# SPDX-License-Identifier: Apache-2.0
"""The command line, as a process of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
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
                "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.getenv("PYTHONPATH")])]),
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


def test_models_that_contradict_the_class_exit_with_1_and_say_so(start):
    process = start("sample_backends:Boastful", "--port", "0")
    assert "error: the model 'words' lists CAPABILITY_EMBEDDING" in process.communicate(timeout=5)[1]
    assert process.returncode == 1


def test_models_that_contradict_the_class_once_loaded_exit_with_1_and_say_so(start):
    process = start("sample_backends:BoastfulLater", "--port", "0")
    assert "error: the model 'words' lists CAPABILITY_EMBEDDING" in process.communicate(timeout=5)[1]
    assert process.returncode == 1


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("PORT", "99999", "got '99999'; expected a whole number from 0 to 65535"),
        ("MAX_QUEUE", "-1", "got '-1'; expected a whole number from 0"),
        ("MAX_CONCURRENCY", "two", "got 'two'; expected a whole number from 0"),
        ("MAX_MESSAGE_BYTES", "0", "got '0'; expected a whole number from 1"),
        ("DRAIN_SECONDS", "inf", "got 'inf'; expected seconds from 0"),
        ("LOG_LEVEL", "loud", "got 'loud'; expected one of debug, info, warning, error"),
        ("METRICS_PORT", "x", "got 'x'; expected a whole number from 0 to 65535"),
    ],
)
def test_bad_environment_exits_with_2(start, name, value, message):
    process = start("sample_backends:Words", **{f"COWABUNGAAI_{name}": value})
    assert message in process.communicate(timeout=5)[1]
    assert process.returncode == 2


def test_metrics_are_served_on_their_own_port(start, free_tcp_port):
    process = start("sample_backends:Words", "--port", "0", "--metrics-port", str(free_tcp_port))
    assert wait_for(process, "listening")["metrics_port"] == free_tcp_port
    wait_for(process, "serving")
    url = f"http://127.0.0.1:{free_tcp_port}/metrics"
    with urllib.request.urlopen(url, timeout=5) as answer:
        assert 'cowabungaai_backend_model_loaded{model="words"} 1.0' in answer.read().decode()


def test_metrics_port_in_use_exits_with_1(start):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = start("sample_backends:Words", "--port", "0", "--metrics-port", str(port))
        assert f"error: cannot listen on 127.0.0.1 port {port}" in process.communicate(timeout=5)[1]
    assert process.returncode == 1


def test_heavy_parts_are_not_imported_unless_asked_for():
    code = "import sys, cowabungaai_sdk.serve; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    modules = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()  # noqa: S603
    heavy = ("prometheus_client", "opentelemetry.sdk", "tenacity", "grpc_reflection.v1alpha")
    assert [name for name in heavy if name in modules] == []
