# SPDX-License-Identifier: Apache-2.0
"""Whatever a caller sends, what it costs is bounded."""

import http.client
import json
import socket
import time

import pytest

from support import ADMIN_KEY, Gateway, Start

MESSAGES = [{"role": "user", "content": "x"}]
BIG = 7_000_000


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("chat/completions", {"messages": [{}] * (BIG // 4)}),
        ("chat/completions", {"messages": [0] * (BIG // 3)}),
        ("chat/completions", {"messages": [{"role": "user", "content": [0] * (BIG // 3)}]}),
        ("chat/completions", {"messages": [{"role": "user", "content": "x", **{f"k{n}": 0 for n in range(400_000)}}]}),
        ("embeddings", {"input": [None] * (BIG // 6)}),
        ("embeddings", {"input": [["a"] * (BIG // 5)]}),
        ("completions", {"prompt": [["a"] * (BIG // 5)]}),
        ("chat/completions", {"messages": MESSAGES * 5000}),
    ],
)
def test_large_wrong_body_is_refused_at_once(start: Start, repeater: str, path: str, body: dict[str, object]) -> None:
    with start(models={"repeater": repeater}).http() as http:
        content = json.dumps({"model": "repeater", **body}, separators=(",", ":")).encode()
        begun = time.monotonic()
        answer = http.post(f"/openai/v1/{path}", content=content, headers={"content-type": "application/json"})
        # Seconds on a busy machine; half a minute before there were bounds.
        assert time.monotonic() - begun < 5
    assert answer.status_code == 400
    assert len(answer.content) < 2000


@pytest.mark.parametrize("field", ["tools", "response_format"])
def test_nesting_is_bounded(http, field):
    schema = json.loads('{"a":' * 300 + "1" + "}" * 300)
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    body = {"model": "repeater", "messages": MESSAGES, field: [tool] if field == "tools" else wanted}
    answer = http.post("/openai/v1/chat/completions", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_value")


def test_field_that_is_a_list_and_a_value_is_refused(http):
    fields = [
        ("file", ("a.wav", b"x")),
        ("model", (None, "repeater")),
        ("prompt", (None, "a")),
        ("prompt[]", (None, "b")),
    ]
    answer = http.post("/openai/v1/audio/transcriptions", files=fields)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "prompt[]")


@pytest.mark.parametrize("endless", [b"GET /" + b"a" * 200_000, b"GET / HTTP/1.1\r\n" + b"name: value\r\n" * 20_000])
def test_endless_head_is_cut(launch, repeater, endless):
    process = launch("--model", f"repeater={repeater}")
    port = int(str(process.entry("serving")["port"]))
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(endless)
        answer = connection.recv(4096)
        assert b"431 " in answer.splitlines()[0]
        assert b"head_too_large" in answer


def test_head_of_ordinary_size_is_read_also_in_pieces(launch, repeater):
    process = launch("--model", f"repeater={repeater}")
    port = int(str(process.entry("serving")["port"]))
    head = f"GET /openai/v1/models HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {ADMIN_KEY}\r\n"
    head += f"x-long: {'a' * 30_000}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for _ in range(3):
            for start in range(0, len(head), 9000):
                connection.sendall(head[start : start + 9000].encode())
                time.sleep(0.01)
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            assert answer.status == 200
            assert json.loads(answer.read())["data"]


def test_client_that_does_not_read_loses_its_place(
    start: Start, repeater: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cowabungaai_api.exchange.SEND_TIMEOUT_S", 0.5)
    backends = {"b": {"replicas": [repeater], "concurrency": 1, "queue_timeout_s": 10}}
    gateway: Gateway = start({"models": [{"name": "repeater", "backend": "b"}], "backends": backends})
    body = {
        "model": "repeater",
        "stream": True,
        "messages": [{"role": "user", "content": "/repeat tokens=400000\nword"}],
    }
    content = json.dumps(body).encode()
    head = f"POST /openai/v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {ADMIN_KEY}\r\n"
    head += f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    host, port = gateway.url.removeprefix("http://").split(":")
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect((host, int(port)))
        deaf.sendall(head.encode() + content)
        with gateway.client() as client:
            assert client.chat.completions.create(model="repeater", messages=MESSAGES).choices[0].message.content == "x"


def test_tokens_of_a_stream_that_is_left_are_counted(start: Start, repeater: str) -> None:
    gateway = start(models={"repeater": repeater})
    long = [{"role": "user", "content": "/repeat delay=1ms -- " + "word " * 500}]
    with gateway.client() as client, gateway.http() as http:
        stream = client.chat.completions.create(model="repeater", messages=long, stream=True)
        for _ in range(200):
            next(stream)
        stream.close()
        time.sleep(0.3)
        usage = http.get("/cowabungaai/v1/auth/me").json()["usage"]
    assert usage["day"]["tokens"] >= 200
