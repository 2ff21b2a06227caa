"""The command line, as a process of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from cowabungaai_api.__main__ import main

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts `python -m cowabungaai_api` on loopback."""
    processes: list[subprocess.Popen[str]] = []

    def start_process(*arguments: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "cowabungaai_api", *arguments],
            env={**os.environ, "COWABUNGAAI_API_HOST": "127.0.0.1", "COWABUNGAAI_API_PORT": "0", **environment},
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield start_process
    for process in processes:
        process.kill()
        process.communicate()


def url_of(process: subprocess.Popen[str]) -> str:
    for line in process.stderr:
        entry = json.loads(line)
        if entry["event"] == "serving":
            return f"http://127.0.0.1:{entry['port']}"
    raise AssertionError("the process ended without serving")


def ask(client) -> str:
    messages = [{"role": "user", "content": "tell nobody"}]
    return client.chat.completions.create(model="repeater", messages=messages).choices[0].message.content


def test_serves_a_model_given_as_argument(start, repeater, connected):
    assert ask(connected(url_of(start("--model", f"repeater={repeater}")))) == "tell nobody"


def test_serves_models_of_a_file(start, repeater, connected, tmp_path):
    path = tmp_path / "models.yaml"
    path.write_text(f"models: [{{name: repeater, backend: '{repeater}'}}]")
    assert ask(connected(url_of(start(COWABUNGAAI_API_CONFIG=str(path))))) == "tell nobody"


def test_sigterm_exits_with_0_and_logs_no_conversation(start, repeater, connected):
    process = start("--model", f"repeater={repeater}")
    ask(connected(url_of(process)))
    process.send_signal(signal.SIGTERM)
    log = process.communicate(timeout=10)[1]
    assert process.returncode == 0
    assert '"path": "/openai/v1/chat/completions", "status": 200' in log
    assert "nobody" not in log


def test_missing_authentication_is_said(start, repeater):
    process = start("--model", f"repeater={repeater}")
    url_of(process)
    assert "no authentication" in next(process.stderr)


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        ([], {}, "error: no models; give --config FILE"),
        (["--model", "a"], {}, "error: model 'a': expected NAME=HOST:PORT"),
        (["--config", "/no/such.yaml"], {}, "error: /no/such.yaml: cannot be read"),
        ([], {"COWABUNGAAI_API_MODELS": "a=b:1", "COWABUNGAAI_API_CONFIG": "x"}, "error: models are given twice"),
        (["--model", "a=b:1", "--port", "http"], {}, "error: setting port: "),
    ],
)
def test_wrong_configuration_exits_with_2(monkeypatch, capsys, arguments, environment, message):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_port_in_use_exits_with_1(start):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = start("--model", "a=b:1", "--port", str(taken.getsockname()[1]))
        assert "error: cannot listen on 127.0.0.1 port" in process.communicate(timeout=10)[1]
    assert process.returncode == 1
