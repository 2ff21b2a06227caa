# SPDX-License-Identifier: Apache-2.0
"""The built images as services, and the official client that talks to them."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import openai
import pytest
from harness import CHECKOUT, SERVICES, WITH_MODELS, Run, described

from shared.ports import free_port, listening

MESSAGE: list[Any] = [{"role": "user", "content": "to be or not to be"}]
START_SECONDS = 600
BACKENDS = [service for service in SERVICES if described(service)["kind"] not in ("sdk", "gateway", "health")]
STOP_SECONDS = 60


@dataclass(frozen=True)
class Stack:
    """What `./cowabunga serve` serves.

    Args:
        url: The base URL, as it printed it.
        key_file: The file with the API key, as it printed it.
        log: What it prints.
        process: The launcher.
    """

    url: str
    key_file: Path
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def root(self) -> str:
        """The URL without the prefix of an API."""
        return self.url.removesuffix("/openai/v1")


def printed(pattern: str, log: Path) -> str:
    """What a log says where a pattern matches."""
    found = re.search(pattern, log.read_text())
    assert found, log.read_text()
    return found[1]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack, served on the machine's loopback by `./cowabunga serve`."""
    port = free_port()
    log = tmp_path_factory.mktemp("stack") / "serve.log"
    command: list[str | Path] = [CHECKOUT / "cowabunga", "serve", "--models", "repeater", "--port", str(port)]
    # Lines are not to be broken where a terminal would end.
    environment = {**os.environ, "COLUMNS": "500"}
    with (
        log.open("w") as sink,
        subprocess.Popen(command, stdout=sink, stderr=subprocess.STDOUT, env=environment) as process,
    ):
        try:
            deadline = time.monotonic() + START_SECONDS
            while True:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, f"the stack did not come up: {log.read_text()}"
                with suppress(httpx.TransportError):
                    if httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=2).is_success:
                        break
                time.sleep(0.2)
            url = printed(r"base URL (\S+)", log)
            assert url == f"http://127.0.0.1:{port}/openai/v1"
            yield Stack(url, Path(printed(r"export OPENAI_API_KEY=\$\(cat (\S+)\)", log)), log, process)
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def client(stack: Stack) -> openai.OpenAI:
    """The official client with another base URL."""
    return openai.OpenAI(base_url=stack.url, api_key=stack.key_file.read_text().strip(), max_retries=0)


def test_models_are_listed(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["repeater"]


def test_chat_answers(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="repeater", messages=MESSAGE)
    assert answer.choices[0].message.content == "to be or not to be"
    assert answer.choices[0].finish_reason == "stop"


def test_chat_streams(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(model="repeater", messages=MESSAGE, stream=True)
    chunks = list(stream)
    parts = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(parts) == "to be or not to be"
    assert len([part for part in parts if part]) > 1
    assert len({chunk.id for chunk in chunks}) == 1


def test_it_is_reached_from_this_machine_alone(stack: Stack) -> None:
    assert listening(httpx.URL(stack.root).port or 0) == {"0100007F"}


def test_unknown_model_raises_the_clients_own_error(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="nope", messages=MESSAGE)
    assert caught.value.code == "model_not_found"


def test_nobody_gets_in_without_the_key(stack: Stack) -> None:
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=stack.url, api_key="unused", max_retries=0).models.list()


def test_the_key_makes_keys(stack: Stack) -> None:
    key = stack.key_file.read_text().strip()
    answer = httpx.post(
        f"{stack.root}/cowabungaai/v1/auth/api-keys", json={"name": "x"}, headers={"authorization": f"Bearer {key}"}
    )
    made = openai.OpenAI(base_url=stack.url, api_key=answer.json()["value"], max_retries=0)
    assert [model.id for model in made.models.list()] == ["repeater"]


def test_the_key_is_its_owners_alone_gone_at_the_end_and_never_printed(stack: Stack) -> None:
    key = stack.key_file.read_text().strip()
    assert stat.S_IMODE(stack.key_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(stack.key_file.parent.stat().st_mode) == 0o700
    stack.process.terminate()
    stack.process.wait(STOP_SECONDS)
    assert not stack.key_file.exists()
    assert key not in stack.log.read_text()


def test_the_built_stack_conforms(dagger: Run, tmp_path: Path) -> None:
    finished = dagger("call", "conformance", "--service", "repeater", "export", "--path", tmp_path / "report")
    assert finished.returncode == 0, finished.stderr
    assert sorted(file.name for file in (tmp_path / "report").iterdir()) == [
        "conformance.json",
        "junit.xml",
        "pytest.txt",
        "summary.json",
    ]
    report = json.loads((tmp_path / "report" / "conformance.json").read_text())
    assert report["failed"] == 0
    assert report["passed"] > 400
    assert report["endpoints"]["chat/completions"]["passed"] > 50
    assert not re.search("cbai_[0-9A-Za-z]{49}", finished.stdout + finished.stderr)


@pytest.mark.parametrize("service", WITH_MODELS)
def test_a_backend_conforms_with_its_real_model(dagger: Run, service: str, tmp_path: Path) -> None:
    finished = dagger("call", "conformance", "--service", service, "export", "--path", tmp_path)
    assert finished.returncode == 0, finished.stderr
    suite = ElementTree.parse(tmp_path / "junit.xml").getroot().find("testsuite")  # noqa: S314 - our own report
    assert suite is not None
    assert (suite.attrib["failures"], suite.attrib["errors"]) == ("0", "0")
    shown = [case for case in suite.iter("testcase") if case.attrib["classname"].endswith("test_engines")]
    assert [case.attrib["name"] for case in shown if case.find("skipped") is None], "no test asked the engine"


def test_a_failing_suite_fails_the_call_with_what_pytest_said(dagger: Run, tmp_path: Path) -> None:
    suite = tmp_path / "suite"
    suite.mkdir()
    (suite / "requirements.lock").write_bytes((CHECKOUT / "tests/conformance/requirements.lock").read_bytes())
    (suite / "test_one.py").write_text("def test_it_does_not_hold():\n    assert 1 == 2\n")
    finished = dagger("call", "conformance", "--suite", suite)
    assert finished.returncode != 0
    assert "repeater does not conform" in finished.stderr
    assert "test_it_does_not_hold" in finished.stderr
    assert "assert 1 == 2" in finished.stderr


def test_a_service_that_is_no_backend_is_told_with_those_that_are(dagger: Run) -> None:
    finished = dagger("call", "conformance", "--service", "sdk")
    assert finished.returncode != 0
    assert f"service 'sdk' is of kind sdk and serves no model; those that do: {', '.join(BACKENDS)}" in finished.stderr
