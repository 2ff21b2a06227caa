# SPDX-License-Identifier: Apache-2.0
"""The client for replicas that speak HTTP, against a server that says what each test needs."""

import asyncio

import pytest

from cowabungaai_api.upstream import connection as connection_module
from cowabungaai_api.upstream import http_client
from cowabungaai_api.upstream.http_client import HttpClient, Origin
from cowabungaai_sdk.errors import BackendFailedError, BackendTimeoutError, BackendUnavailableError

pytestmark = pytest.mark.anyio
REQUEST = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nhi"


class Server:
    """Answers each request on a connection with the next of some bytes; None closes the connection.

    Args:
        answers: one for each request, over all connections.
        pause_s: before each answer.
    """

    def __init__(self, *answers: bytes | None, pause_s: float = 0) -> None:
        self.answers = list(answers)
        self.pause_s = pause_s
        self.connections = 0
        self.left = asyncio.Event()
        self._clients: list[HttpClient] = []
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> "Server":
        self._server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients:
            await client.close()
        for writer in self._writers:
            writer.transport.abort()
        self._server.close()
        await asyncio.sleep(0.01)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        try:
            while self.answers:
                await reader.readuntil(b"\r\n\r\n")
                await asyncio.sleep(self.pause_s)
                if (answer := self.answers.pop(0)) is None:
                    break
                writer.write(answer)
                await writer.drain()
                if b"content-length" not in answer and b"chunked" not in answer:
                    break
            else:
                await reader.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        self.left.set()
        writer.close()

    def say(self, data: bytes) -> None:
        """Sends what nobody asked for."""
        for writer in self._writers:
            writer.write(data)

    def break_off(self) -> None:
        """Closes all connections."""
        for writer in self._writers:
            writer.close()

    def client(self) -> HttpClient:
        self._clients.append(HttpClient(Origin.parse(f"http://127.0.0.1:{self.port}/v1"), 1.0))
        return self._clients[-1]


def test_origin_of_a_url():
    assert Origin.parse("https://[::1]:8443/v1/") == Origin("::1", 8443, True, "/v1")
    assert Origin.parse("http://a").authority == "a:80"


async def test_connection_is_kept_for_the_next_request():
    async with Server(OK, OK) as server:
        client = server.client()
        bodies = [(await client.exchange(1, REQUEST))[1] for _ in range(2)]
    assert (bodies, server.connections) == ([b"hi", b"hi"], 1)


async def test_kept_connection_that_the_server_closed_is_replaced():
    async with Server(OK, None, OK) as server:
        client = server.client()
        await client.exchange(1, REQUEST)
        connection, body = await client.exchange(1, REQUEST)
    assert (connection.status, body, server.connections) == (200, b"hi", 2)


async def test_new_connection_that_is_closed_at_once_is_unavailable():
    async with Server(None) as server:
        with pytest.raises(BackendUnavailableError, match="closed before the answer"):
            await server.client().exchange(1, REQUEST)


async def test_server_that_is_not_there_is_unavailable(free_tcp_port: int):
    client = HttpClient(Origin.parse(f"http://127.0.0.1:{free_tcp_port}"), 1.0)
    with pytest.raises(BackendUnavailableError, match="cannot connect to 127"):
        await client.exchange(1, REQUEST)


async def test_answer_that_does_not_come_is_a_timeout_and_closes_the_connection():
    async with Server(OK, pause_s=5) as server:
        with pytest.raises(BackendTimeoutError):
            await server.client().exchange(0.05, REQUEST)


async def test_answer_that_is_not_http_is_a_failure():
    async with Server(b"SSH-2.0-OpenSSH\r\n") as server:
        with pytest.raises(BackendFailedError, match="not HTTP"):
            await server.client().exchange(1, REQUEST)


async def test_answer_without_length_ends_with_the_connection():
    async with Server(b"HTTP/1.1 200 OK\r\n\r\nhi") as server:
        assert (await server.client().exchange(1, REQUEST))[1] == b"hi"


async def test_answer_that_breaks_off_is_unavailable():
    async with Server(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhi") as server:
        server.answers.append(None)
        client = server.client()
        connection = await client.begin(1, REQUEST)
        assert await connection.read() == b"hi"
        server.break_off()
        with pytest.raises(BackendUnavailableError, match="closed before"):
            await connection.read()
        client.release(connection)


async def test_leaving_in_the_middle_closes_the_connection():
    answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n"
    async with Server(answer) as server:
        client = server.client()
        connection = await client.begin(5, REQUEST)
        assert await connection.read() == b"hi"
        client.release(connection)
        await asyncio.wait_for(server.left.wait(), 1)


async def test_slow_reader_pauses_the_server():
    size = 8 * 1024 * 1024
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + b"x" * size
    async with Server(answer) as server:
        client = server.client()
        connection = await client.begin(5, REQUEST)
        await asyncio.sleep(0.1)
        first = await connection.read()
        assert len(first) < size // 2
        total = len(first)
        while piece := await connection.read():
            total += len(piece)
        client.release(connection)
    assert total == size


@pytest.mark.parametrize("header", [b"Retry-After: 7\r\n", b""])
async def test_retry_after_is_read(header: bytes):
    async with Server(b"HTTP/1.1 429 Too Many\r\n" + header + b"content-length: 0\r\n\r\n") as server:
        connection, _ = await server.client().exchange(1, REQUEST)
    assert connection.retry_after == (7.0 if header else None)


async def test_retry_after_beyond_all_reason_is_left_out():
    async with Server(b"HTTP/1.1 429 X\r\nretry-after: " + b"9" * 400 + b"\r\ncontent-length: 0\r\n\r\n") as server:
        connection, _ = await server.client().exchange(1, REQUEST)
    assert connection.retry_after is None


@pytest.mark.parametrize("early", [b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_announcement_of_an_answer_is_not_the_answer(early: bytes):
    async with Server(early + OK) as server:
        connection, body = await server.client().exchange(1, REQUEST)
    assert (connection.status, body) == (200, b"hi")


async def test_switch_of_protocols_is_a_failure():
    switch = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\nx"
    async with Server(switch) as server:
        with pytest.raises(BackendFailedError, match="not HTTP"):
            await server.client().exchange(1, REQUEST)


@pytest.mark.parametrize("more", [OK, b"x"])
async def test_connection_with_more_than_the_answer_is_not_used_again(more: bytes):
    async with Server(OK + more, OK) as server:
        client = server.client()
        bodies = [(await client.exchange(1, REQUEST))[1] for _ in range(2)]
    assert (bodies, server.connections) == ([b"hi", b"hi"], 2)


@pytest.mark.parametrize("more", [OK, b"x", b"\r\n"])
async def test_connection_on_which_more_comes_while_it_rests_is_not_used_again(more: bytes):
    async with Server(OK, OK) as server:
        client = server.client()
        connection, _ = await client.exchange(1, REQUEST)
        server.say(more)
        await asyncio.sleep(0.02)
        assert not connection.usable
        assert (await client.exchange(1, REQUEST))[1] == b"hi"
    assert server.connections == 2


async def test_answer_that_is_too_large_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(connection_module, "ANSWER_BYTES", 1000)
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 6000\r\n\r\n" + b"x" * 5000
    async with Server(answer) as server:
        with pytest.raises(BackendFailedError, match="larger than 1000 bytes"):
            await server.client().exchange(1, REQUEST)
        await asyncio.wait_for(server.left.wait(), 1)


async def test_old_connections_are_closed_when_another_comes_back(monkeypatch: pytest.MonkeyPatch):
    async with Server(*[OK] * 4) as server:
        client = server.client()
        several = [await client.begin(1, REQUEST) for _ in range(3)]
        for connection in several:
            await connection.read_all()
        for connection in several[:2]:
            client.release(connection)
        monkeypatch.setattr(http_client, "IDLE_S", 0.02)
        await asyncio.sleep(0.03)
        client.release(several[2])
        await asyncio.sleep(0)
        assert [connection.usable for connection in several] == [False, False, True]
        await client.exchange(1, REQUEST)
    assert server.connections == 3


@pytest.mark.parametrize("host", ["a..b", "a" * 70 + ".example"])
async def test_host_that_cannot_be_a_name_is_unavailable(host: str):
    client = HttpClient(Origin.parse(f"http://{host}:1"), 1.0)
    with pytest.raises(BackendUnavailableError, match="cannot connect to a") as raised:
        await client.exchange(1, REQUEST)
    assert not raised.value.connected


async def test_drain_waits_for_the_end_and_no_longer():
    answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n"
    async with Server(answer, answer + b"0\r\n\r\n", answer) as server:
        client = server.client()
        endless = await client.begin(5, REQUEST)
        start = asyncio.get_running_loop().time()
        await endless.drain(0.05)
        assert 0.04 < asyncio.get_running_loop().time() - start < 1
        ended = await client.begin(5, REQUEST)
        await ended.drain(1)
        broken = await client.begin(5, REQUEST)
        server.break_off()
        await broken.drain(1)
        assert [found.complete for found in (endless, ended, broken)] == [False, True, False]
        for found in (endless, ended, broken):
            client.release(found)
