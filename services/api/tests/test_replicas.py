# SPDX-License-Identifier: Apache-2.0
"""Several replicas: kills, retries, fallbacks, affinity, names looked up again."""

import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

import openai
import pytest

from sample_backends import Stuck
from support import Gateway, repeater_process

HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture
def three() -> Iterator[list]:
    """Three repeaters as processes: addresses and processes; each says its number as system fingerprint."""
    with ExitStack() as stack:
        yield [stack.enter_context(repeater_process("--name", f"replica-{number}")) for number in range(3)]


def one_backend(replicas: list[str], **options: object) -> dict[str, object]:
    return {"models": [{"name": "repeater", "backend": "b"}], "backends": {"b": {"replicas": replicas, **options}}}


def who(client: openai.OpenAI, **parameters: object) -> str:
    """Which replica answers."""
    return client.chat.completions.create(**{"model": "repeater", "messages": HELLO, **parameters}).system_fingerprint


def test_replicas_share_the_load(start, three):
    with start(one_backend([address for address, _ in three])).client() as client:
        found = Counter(who(client) for _ in range(60))
    assert len(found) == 3
    assert min(found.values()) >= 5


class Load:
    """Clients that stream one answer after the other, each in a thread of its own.

    Args:
        gateway: what they ask.
        clients: how many.
    """

    def __init__(self, gateway: Gateway, clients: int = 12) -> None:
        self._gateway = gateway
        self._stop = threading.Event()
        self.answers: list[str] = []
        self.failures: list[tuple[str | None, bool]] = []
        """Who had begun to answer, where that is known, and whether an answer had begun."""
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        messages = [{"role": "user", "content": "/repeat delay=5ms -- one two three four five six"}]
        with self._gateway.client() as client:
            while not self._stop.is_set():
                replica = None
                try:
                    stream = client.chat.completions.create(model="repeater", messages=messages, stream=True)
                    for chunk in stream:
                        replica = replica or chunk.system_fingerprint
                    self.answers.append(replica)
                except openai.APIError:
                    self.failures.append((replica, replica is not None))


def test_killed_replica_fails_only_what_it_had_begun(start, three):
    with Load(start(one_backend([address for address, _ in three]))) as load:
        time.sleep(1)
        three[1][1].send_signal(signal.SIGKILL)
        time.sleep(0.2)
        before = len(load.answers)
        time.sleep(1)
    assert all(replica == "replica-1" for replica, _ in load.failures)
    assert len(load.failures) <= 12
    assert set(load.answers[before:]) == {"replica-0", "replica-2"}
    assert len(load.answers) > 60


def test_draining_replica_loses_nothing(start, three):
    with Load(start(one_backend([address for address, _ in three]))) as load:
        time.sleep(0.5)
        three[2][1].send_signal(signal.SIGTERM)
        time.sleep(1)
    assert load.failures == []


def test_replica_that_comes_back_is_used_again(start, three, free_tcp_port):
    health = {"interval_s": 0.1}
    addresses = [three[0][0], f"127.0.0.1:{free_tcp_port}"]
    with start(one_backend(addresses, health=health)).client() as client:
        assert {who(client) for _ in range(20)} == {"replica-0"}
        with repeater_process("--name", "back", "--port", str(free_tcp_port)):
            deadline = time.monotonic() + 10
            while "back" not in {who(client) for _ in range(10)}:
                assert time.monotonic() < deadline


def test_deadline_holds_for_all_attempts_together(start, serve):
    replicas = [serve(Stuck()), serve(Stuck())]
    config = one_backend(replicas, timeout_s=0.3, retries=5)
    config["models"][0]["backend_model"] = "sample"
    begun = time.monotonic()
    with start(config).client() as client, pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model="repeater", messages=HELLO)
    assert time.monotonic() - begun < 2


def test_no_retries_where_none_are_wanted(start, three, free_tcp_port):
    addresses = [three[0][0], f"127.0.0.1:{free_tcp_port}"]
    with start(one_backend(addresses, retries=0, health={"interval_s": 600})).client() as client:
        answers = []
        for _ in range(20):
            try:
                answers.append(who(client))
            except openai.InternalServerError as error:
                answers.append(error.code)
    assert set(answers) >= {"replica-0"}


def test_overloaded_replica_is_retried_elsewhere(start, serve, three):
    with repeater_process("--name", "full", "--max-concurrency", "1", "--max-queue", "0") as (full, _):
        gateway = start(one_backend([full, three[0][0]], affinity=True))
        with gateway.client() as client:
            slow = [{"role": "user", "content": "/repeat first=3s -- slow"}]
            threads = [
                threading.Thread(target=lambda: client.chat.completions.create(model="repeater", messages=slow))
                for _ in range(4)
            ]
            for thread in threads:
                thread.start()
            time.sleep(0.3)
            assert {who(client) for _ in range(10)} == {"replica-0"}
            for thread in threads:
                thread.join()


def test_fallback_answers_while_the_model_cannot(start, three, free_tcp_port):
    config = {
        "models": [
            {"name": "big", "backend": f"127.0.0.1:{free_tcp_port}", "fallbacks": ["small"]},
            {"name": "small", "backend": three[0][0], "backend_model": "repeater"},
        ]
    }
    with start(config).client() as client:
        answer = client.chat.completions.create(model="big", messages=HELLO)
        stream = list(client.chat.completions.create(model="big", messages=HELLO, stream=True))
    assert (answer.model, answer.choices[0].message.content) == ("big", "hello")
    assert stream[-1].choices[0].finish_reason == "stop"


def test_fallback_that_the_caller_may_not_use_does_not_answer(start, three, free_tcp_port):
    config = {
        "models": [
            {"name": "big", "backend": f"127.0.0.1:{free_tcp_port}", "fallbacks": ["small"]},
            {"name": "small", "backend": three[0][0], "backend_model": "repeater"},
        ]
    }
    gateway = start(config)
    with gateway.http() as http:
        key = http.post("/cowabungaai/v1/auth/api-keys", json={"name": "k", "models": ["big"]}).json()["value"]
    with gateway.client(key) as client, pytest.raises(openai.InternalServerError) as raised:
        client.chat.completions.create(model="big", messages=HELLO)
    assert raised.value.code == "backend_unavailable"


def test_invalid_request_is_not_tried_elsewhere(start, three, serve):
    config = {
        "models": [
            {"name": "big", "backend": three[0][0], "backend_model": "repeater", "fallbacks": ["small"]},
            {"name": "small", "backend": serve(Stuck()), "backend_model": "sample"},
        ]
    }
    with start(config).client() as client:
        bad = [{"role": "user", "content": "/repeat colour=red"}]
        with pytest.raises(openai.BadRequestError):
            client.chat.completions.create(model="big", messages=bad)


def test_conversation_stays_with_its_replica(start, three):
    with start(one_backend([address for address, _ in three], affinity=True)).client() as client:
        homes = set()
        for number in range(12):
            conversation = [{"role": "system", "content": "be brief"}, {"role": "user", "content": f"topic {number}"}]
            replicas = set()
            for turn in range(4):
                replicas.add(who(client, messages=conversation))
                conversation += [{"role": "assistant", "content": "yes"}, {"role": "user", "content": f"turn {turn}"}]
            assert len(replicas) == 1
            homes |= replicas
        # Chance decides where one begins: so many that none is left out but once in a million million.
        homes |= {who(client, messages=[{"role": "user", "content": f"question {number}"}]) for number in range(60)}
        assert len(homes) == 3
        assert len({who(client, extra_body={"prompt_cache_key": "mine"}) for _ in range(6)}) == 1
    with start(one_backend([address for address, _ in three])).client() as client:
        assert len({who(client, extra_body={"prompt_cache_key": "mine"}) for _ in range(12)}) == 1


def test_name_is_looked_up_again(start, three, portal, monkeypatch):
    """The resolver's answers are the test's; what is made of them is real."""
    ports = [int(address.rpartition(":")[2]) for address, _ in three]
    with repeater_process("--host", "127.0.0.2", "--port", str(ports[0]), "--name", "second") as _:
        answers = [["127.0.0.1"]]

        async def getaddrinfo(host, port, **_):
            assert host == "replicas.test"
            if not answers[0]:
                raise socket.gaierror("not now")
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in answers[0]]

        loop = portal.call(_loop)
        monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
        backends = {"b": {"dns": f"grpc://replicas.test:{ports[0]}", "dns_refresh_s": 0.05}}
        gateway = start({"models": [{"name": "repeater", "backend": "b"}], "backends": backends})
        time.sleep(0.3)
        with gateway.client() as client:
            assert {who(client) for _ in range(5)} == {"replica-0"}
            answers[0] = ["127.0.0.1", "127.0.0.2"]
            time.sleep(0.5)
            assert {who(client) for _ in range(40)} == {"replica-0", "second"}
            answers[0] = []
            time.sleep(0.2)
            assert {who(client) for _ in range(40)} == {"replica-0", "second"}
            answers[0] = ["127.0.0.2"]
            time.sleep(0.5)
            assert {who(client) for _ in range(10)} == {"second"}


def test_name_whose_replica_never_answers_does_not_keep_the_gateway_from_ending(launch, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        path = tmp_path / "models.yaml"
        backend = f"{{dns: 'http://localhost:{silent.getsockname()[1]}/v1'}}"
        path.write_text(f"models: [{{name: a, backend: b}}]\nbackends: {{b: {backend}}}")
        process = launch("--config", str(path))
        process.entry("serving")
        process.send_signal(signal.SIGTERM)
        assert process.end()[0] == 0


async def _loop():
    import asyncio

    return asyncio.get_running_loop()
