"""The built images as services, and the official client that talks to them."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress

import httpx
import openai
import pytest
from harness import CHECKOUT

MESSAGE = [{"role": "user", "content": "to be or not to be"}]
START_SECONDS = 600


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The stack, served on the machine's loopback by `./cowabunga serve`."""
    port = free_port()
    log = tmp_path_factory.mktemp("stack") / "serve.log"
    command = [CHECKOUT / "cowabunga", "serve", "--port", str(port)]
    with log.open("w") as sink, subprocess.Popen(command, stdout=sink, stderr=subprocess.STDOUT) as process:
        try:
            deadline = time.monotonic() + START_SECONDS
            while True:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, f"the stack did not come up: {log.read_text()}"
                with suppress(httpx.TransportError):
                    if httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=2).is_success:
                        break
                time.sleep(0.2)
            yield f"http://127.0.0.1:{port}/openai/v1"
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def client(base_url: str) -> openai.OpenAI:
    """The official client with another base URL."""
    return openai.OpenAI(base_url=base_url, api_key="unused", max_retries=0)


def test_models_are_listed(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["repeater"]


def test_chat_answers(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="repeater", messages=MESSAGE)  # type: ignore[arg-type]
    assert answer.choices[0].message.content == "to be or not to be"
    assert answer.choices[0].finish_reason == "stop"


def test_chat_streams(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(model="repeater", messages=MESSAGE, stream=True)  # type: ignore[arg-type]
    chunks = list(stream)
    parts = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(parts) == "to be or not to be"
    assert len([part for part in parts if part]) > 1
    assert len({chunk.id for chunk in chunks}) == 1


def test_unknown_model_raises_the_clients_own_error(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="nope", messages=MESSAGE)  # type: ignore[arg-type]
    assert caught.value.code == "model_not_found"
