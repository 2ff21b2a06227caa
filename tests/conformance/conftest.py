# SPDX-License-Identifier: Apache-2.0
"""The gateway under test, and the clients that ask it."""

from __future__ import annotations

import io
import math
import os
import struct
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from conformance import sources, strict
from conformance.ask import SPEECH, Sound
from conformance.report import EndpointReport
from conformance.target import OWN, REPEATER, Model, Target, TargetError, choose_model, from_environment

MARKS = (
    "endpoint(path): the endpoint that the test is about, for the report",
    "needs(*capabilities): what the model must be able to do",
    "exact: the model must echo as the repeater does",
)
MakeKey = Callable[..., dict[str, Any]]


def pytest_configure(config: pytest.Config) -> None:
    """Names the marks, and prepares the report."""
    for mark in MARKS:
        config.addinivalue_line("markers", mark)
    if file := os.environ.get("COWABUNGAAI_REPORT"):
        config.pluginmanager.register(EndpointReport(Path(file)))


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The gateway that the environment names, else one from the sources."""
    try:
        found = from_environment()
    except TargetError as error:
        pytest.exit(str(error), returncode=2)
    if found is not None:
        yield found
        return
    backend = os.environ.get("COWABUNGAAI_SERVICE", REPEATER)
    with sources.started(tmp_path_factory.mktemp("gateway"), backend) as found:
        yield found


@pytest.fixture(scope="session")
def chosen(target: Target) -> Model:
    """The model under test, and what it can do."""
    try:
        return choose_model(target)
    except TargetError as error:
        pytest.exit(str(error), returncode=2)


@pytest.fixture(scope="session")
def model(chosen: Model) -> str:
    """The name of the model under test."""
    return chosen.id


@pytest.fixture(autouse=True)
def _fits(request: pytest.FixtureRequest) -> None:
    """Skips what the model cannot do."""
    needs = {capability for mark in request.node.iter_markers("needs") for capability in mark.args}
    exact = request.node.get_closest_marker("exact") is not None
    if not needs and not exact:
        return
    chosen: Model = request.getfixturevalue("chosen")
    if missing := sorted(needs.difference(chosen.capabilities)):
        pytest.skip(f"{chosen.id} cannot do {', '.join(missing)}; it can do {', '.join(chosen.capabilities)}")
    if exact and not chosen.exact:
        pytest.skip(f"{chosen.id} is no repeater, so its answers are not known beforehand")


@pytest.fixture(scope="session")
def client(target: Target) -> Iterator[openai.OpenAI]:
    """The official client with the admin key."""
    with strict.client(target.base_url, target.key) as found:
        yield found


@pytest.fixture
def http(target: Target) -> Iterator[httpx2.Client]:
    """A plain client with the admin key."""
    with target.http() as found:
        yield found


@pytest.fixture
def make_key(http: httpx2.Client) -> Iterator[MakeKey]:
    """Makes API keys; they are revoked when the test ends."""
    made: list[str] = []

    def make(**fields: Any) -> dict[str, Any]:
        answer = http.post(f"{OWN}/auth/api-keys", json={"name": "conformance", **fields})
        assert answer.status_code == 201, answer.text
        body: dict[str, Any] = answer.json()
        made.append(body["id"])
        return body

    yield make
    for key in made:
        assert http.delete(f"{OWN}/auth/api-keys/{key}").status_code == 200


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The event loop of asynchronous tests."""
    return "asyncio"


@pytest.fixture(scope="session")
def sound(chosen: Model) -> Sound:
    """Speech of six seconds; for a model that echoes, a tone as a WAV file, whose facts it tells."""
    if not chosen.exact:
        return Sound(SPEECH.name, SPEECH.read_bytes())
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(16_000)
        samples = (int(8000 * math.sin(2 * math.pi * 440 * n / 16_000)) for n in range(6 * 16_000))
        writer.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return Sound("tone.wav", file.getvalue())
