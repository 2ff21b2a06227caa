# SPDX-License-Identifier: Apache-2.0
"""The client: health, errors, retries, metadata and cancellation."""

import asyncio
import socket

import grpc
import pytest

from cowabungaai_sdk.client import BackendClient
from cowabungaai_sdk.errors import (
    BackendFailedError,
    BackendOverloadedError,
    BackendTimeoutError,
    BackendUnavailableError,
    InvalidRequestError,
)
from cowabungaai_sdk.server import BackendServer, ServerConfig
from cowabungaai_sdk.v1.chat_pb2 import ChatRequest
from sample_backends import Gated, Words

pytestmark = pytest.mark.anyio


class Failing(Words):
    """Raises what it was made with, and counts how often it was asked."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error
        self.calls = 0

    async def chat(self, request: ChatRequest):
        self.calls += 1
        raise self.error
        yield


@pytest.mark.parametrize("load", [False, True])
async def test_health_is_asked_for(serve, load):
    assert await (await serve(Words(), load=load)).client.check_health() is load


@pytest.mark.parametrize("retry_after_s", [None, 1.5])
async def test_overload_says_when_to_come_back(serve, request_, retry_after_s):
    client = (await serve(Failing(BackendOverloadedError("full", retry_after_s)))).client
    with pytest.raises(BackendOverloadedError, match="full") as raised:
        await client.chat(request_)
    assert raised.value.retry_after_s == retry_after_s


async def test_error_has_its_name(serve, request_):
    error = InvalidRequestError("too long", "messages", "context_length_exceeded")
    client = (await serve(Failing(error))).client
    with pytest.raises(InvalidRequestError) as raised:
        await client.chat(request_)
    assert (raised.value.param, raised.value.code_name) == ("messages", "context_length_exceeded")


async def test_oversized_request_is_the_callers_mistake(serve, request_):
    client = (await serve(Words(), max_message_bytes=1000)).client
    request_.messages[0].content[0].text = "x" * 2000
    with pytest.raises(InvalidRequestError) as raised:
        await client.chat(request_)
    assert raised.value.code_name == "request_too_large"


async def test_oversized_answer_is_the_backends_failure(serve, request_):
    target = (await serve(Words())).target
    async with BackendClient(target, max_message_bytes=60) as client:
        with pytest.raises(BackendFailedError, match="too large"):
            await client.chat(request_)


async def test_unreachable_backend_was_never_connected(free_tcp_port, request_):
    async with BackendClient(f"127.0.0.1:{free_tcp_port}") as client:
        with pytest.raises(BackendUnavailableError, match=f"127.0.0.1:{free_tcp_port}") as raised:
            await client.chat(request_)
    assert raised.value.connected is False


async def test_backend_that_refuses_was_connected_whatever_it_says(serve, request_):
    client = (await serve(Failing(BackendUnavailableError("failed to connect to all addresses")))).client
    with pytest.raises(BackendUnavailableError) as raised:
        await client.chat(request_)
    assert raised.value.connected is True


async def test_connection_that_breaks_was_connected(request_):
    def hang_up(reader, writer):
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with BackendClient(f"127.0.0.1:{port}", timeout_s=5) as client:
            with pytest.raises(BackendUnavailableError):
                await client.chat(request_)


async def test_retries_wait_for_a_backend_that_starts(request_):
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    async with BackendClient(f"127.0.0.1:{port}", timeout_s=30, retries=50) as client:
        answer = asyncio.create_task(client.chat(request_))
        await asyncio.sleep(0.2)
        server = BackendServer(Words(), ServerConfig("127.0.0.1", port, drain_s=0))
        await server.load()
        await server.start()
        try:
            assert (await answer).choices[0].message.content[0].text == "one two three"
        finally:
            await server.stop()


async def test_retries_are_counted(free_tcp_port, request_):
    async with BackendClient(f"127.0.0.1:{free_tcp_port}", retries=1) as client:
        with pytest.raises(BackendUnavailableError):
            await asyncio.wait_for(client.chat(request_), 3)


async def test_refusal_by_the_backend_is_not_repeated(serve, request_):
    backend = Failing(BackendUnavailableError("not now"))
    target = (await serve(backend)).target
    async with BackendClient(target, retries=3) as client:
        with pytest.raises(BackendUnavailableError):
            await client.chat(request_)
    assert backend.calls == 1


async def test_deadline_of_a_call_wins_over_the_clients(serve, request_):
    target = (await serve(Gated())).target
    async with BackendClient(target, timeout_s=0.05) as client:
        with pytest.raises(BackendTimeoutError):
            await client.chat(request_)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.chat(request_, timeout_s=5), 0.3)


async def test_cancelled_call_stops_the_backend_within_100_ms(serve, request_):
    backend = Gated()
    client = (await serve(backend)).client
    call = asyncio.create_task(client.chat(request_))
    await backend.begun.wait()
    call.cancel()
    await asyncio.wait_for(backend.cancelled.wait(), 0.1)


async def test_closing_the_connection_ends_calls_without_cancelling_their_tasks(serve, request_):
    backend = Gated()
    target = (await serve(backend)).target
    client = BackendClient(target, timeout_s=5)
    call = asyncio.create_task(client.chat(request_))
    await backend.begun.wait()
    await client.close()
    with pytest.raises(BackendUnavailableError, match="was closed"):
        await call


async def test_parameter_that_metadata_cannot_carry_is_written_with_question_marks(serve, request_):
    client = (await serve(Failing(InvalidRequestError("no", "größe\n")))).client
    with pytest.raises(InvalidRequestError) as raised:
        await client.chat(request_)
    assert raised.value.param == "gr??e?"


async def test_metadata_reaches_the_backend(request_):
    seen: list[tuple[str, str]] = []

    class Handler(grpc.GenericRpcHandler):
        def service(self, details):
            seen.extend(details.invocation_metadata)

    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with BackendClient(f"127.0.0.1:{port}", timeout_s=5) as client:
        stream = client.chat_stream(request_, metadata=[("traceparent", "00-1")])
        with pytest.raises(Exception, match="Method not found"):
            await anext(stream)
    await server.stop(None)
    assert ("traceparent", "00-1") in seen
