# SPDX-License-Identifier: Apache-2.0
"""Changes of the configuration file while the gateway runs."""

import os
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "config"
    folder.mkdir()
    return folder / "models.yaml"


def write(path: Path, text: str) -> None:
    """Replaces a file at once, as editors and Kubernetes do."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def eventually(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def client(start, repeater, path):
    """A client of a gateway that runs from `path`, with the model `first`."""
    write(path, f"models: [{{name: first, backend: '{repeater}', backend_model: repeater}}]")
    config = {"models": [{"name": "first", "backend": repeater, "backend_model": "repeater"}]}
    gateway = start(config, config=path, reload_seconds=0.05)
    with gateway.client() as found:
        found.gateway = gateway
        yield found


def names(client) -> list[str]:
    return [model.id for model in client.models.list()]


def test_new_model_is_offered_and_an_old_one_is_not(client, repeater, path):
    write(path, f"models: [{{name: second, backend: '{repeater}', backend_model: repeater}}]")
    eventually(lambda: names(client) == ["second"])
    assert client.chat.completions.create(model="second", messages=HELLO).choices[0].message.content == "hello"


def test_bad_file_keeps_the_old_configuration_and_says_so(client, path, caplog):
    write(path, "models: [{name: second}]")
    eventually(lambda: "configuration not taken" in caplog.text)
    why = [record.fields["why"] for record in caplog.records if record.message == "configuration not taken"]
    assert why == [f"{path}:1: models.0.backend: field required"]
    assert names(client) == ["first"]
    assert client.chat.completions.create(model="first", messages=HELLO).choices[0].message.content == "hello"
    assert 'config_reloads_total{result="refused"} 1.0' in client.gateway.state.metrics.text().decode()


def test_nothing_of_a_bad_file_is_taken(client, repeater, path, caplog):
    model = f"models: [{{name: second, backend: '{repeater}'}}]\n"
    write(path, model + "auth: {jwt: [{issuer: a, audience: b, algorithms: [HS256], secret_env: NOT_SET_ANYWHERE}]}")
    eventually(lambda: "configuration not taken" in caplog.text)
    assert names(client) == ["first"]


def test_file_that_is_gone_keeps_the_old_configuration(client, path, caplog):
    path.unlink()
    eventually(lambda: "configuration not taken" in caplog.text)
    assert names(client) == ["first"]


def test_file_of_any_kind_does_not_end_the_reloading(client, repeater, path, caplog):
    for text in ("models: {chat: 'localhost:50051'}", "note: 2024-13-45", "[" * 5000, "\0"):
        write(path, text)
        eventually(lambda: "configuration not taken" in caplog.text)
        caplog.clear()
    write(path, f"models: [{{name: fourth, backend: '{repeater}'}}]")
    eventually(lambda: names(client) == ["fourth"])


def test_mistake_that_is_mended_is_forgotten(client, repeater, path, caplog):
    write(path, "models: []")
    eventually(lambda: "configuration not taken" in caplog.text)
    write(path, f"models: [{{name: third, backend: '{repeater}'}}]")
    eventually(lambda: names(client) == ["third"])


def test_link_that_points_elsewhere_is_a_change(start, repeater, path):
    """As Kubernetes changes a mounted ConfigMap."""
    for name in ("one", "two"):
        folder = path.parent / name
        folder.mkdir()
        write(folder / "models.yaml", f"models: [{{name: {name}, backend: '{repeater}'}}]")
    os.symlink("one", path.parent / "data")
    os.symlink("data/models.yaml", path)
    config = {"models": [{"name": "one", "backend": repeater}]}
    with start(config, config=path, reload_seconds=0.05).client() as client:
        os.symlink("two", path.parent / "new")
        os.replace(path.parent / "new", path.parent / "data")
        eventually(lambda: names(client) == ["two"])


def test_request_in_flight_outlives_a_change(client, repeater, path):
    messages = [{"role": "user", "content": "/repeat delay=50ms -- " + "word " * 20}]
    stream = client.chat.completions.create(model="first", messages=messages, stream=True)
    next(stream)
    write(path, "models: [{name: second, backend: 'http://127.0.0.1:9/v1'}]")
    eventually(lambda: names(client) == ["second"])
    assert list(stream)[-1].choices[0].finish_reason == "stop"


def test_backend_that_stays_the_same_keeps_its_connections(client, repeater, path):
    before = client.gateway.state.router.pools[repeater]
    write(path, f"models: [{{name: first, backend: '{repeater}'}}, {{name: more, backend: '{repeater}'}}]")
    eventually(lambda: names(client) == ["first", "more"])
    assert client.gateway.state.router.pools[repeater] is before


def test_change_while_backends_are_asked_fails_no_request(client, repeater, path):
    """The list of models waits for a backend that does not answer, and meanwhile its model goes."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        write(path, f"models: [{{name: slow, backend: 'http://{address}/v1'}}]")
        eventually(lambda: "slow" in client.gateway.state.router.routes)
        with ThreadPoolExecutor() as pool:
            asked = [pool.submit(names, client), pool.submit(states, client)]
            time.sleep(0.3)
            write(path, f"models: [{{name: first, backend: '{repeater}', backend_model: repeater}}]")
            assert [found.result() for found in asked] == [["slow"], ["slow"]]


def states(client) -> list[str]:
    with client.gateway.http() as http:
        return [state["id"] for state in http.get("/cowabungaai/v1/states/models").json()["data"]]
