# SPDX-License-Identifier: Apache-2.0
"""What Prometheus reads."""

import asyncio
import urllib.request

import pytest

from cowabungaai_sdk.errors import BackendFailedError, ModelNotFoundError
from sample_backends import Broken, OneByOne, SlowToLoad, Words

pytestmark = pytest.mark.anyio


async def scrape(port: int) -> dict[str, float]:
    def read() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            return answer.read().decode()

    lines = (await asyncio.to_thread(read)).splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


async def test_calls_tokens_and_times_are_counted(serve, request_, free_tcp_port):
    client = (await serve(Words(), metrics_port=free_tcp_port)).client
    await client.chat(request_)
    async for _ in client.chat_stream(request_):
        pass
    found = await scrape(free_tcp_port)
    assert found['cowabungaai_backend_calls_total{method="Chat",status="OK"}'] == 1
    assert found['cowabungaai_backend_calls_total{method="ChatStream",status="OK"}'] == 1
    assert found['cowabungaai_backend_tokens_total{kind="prompt",model="words"}'] == 4
    assert found['cowabungaai_backend_tokens_total{kind="completion",model="words"}'] == 6
    for name in ("call_duration_seconds", "time_to_first_piece_seconds", "queue_wait_seconds"):
        assert found[f'cowabungaai_backend_{name}_count{{method="Chat"}}'] == 1
    assert found["process_resident_memory_bytes"] > 0


async def test_failures_are_counted_by_status_without_the_callers_words(serve, request_, free_tcp_port):
    client = (await serve(Broken(), metrics_port=free_tcp_port)).client
    with pytest.raises(BackendFailedError):
        await client.chat(request_)
    request_.model = "made up"
    with pytest.raises(ModelNotFoundError):
        await client.chat(request_)
    found = await scrape(free_tcp_port)
    assert found['cowabungaai_backend_calls_total{method="Chat",status="INTERNAL"}'] == 1
    assert found['cowabungaai_backend_calls_total{method="Chat",status="NOT_FOUND"}'] == 1
    assert not any("made up" in name for name in found)


async def test_calls_in_flight_and_queued_are_shown(serve, request_, free_tcp_port):
    backend = OneByOne()
    client = (await serve(backend, metrics_port=free_tcp_port)).client
    calls = [asyncio.create_task(client.chat(request_)) for _ in range(3)]
    await backend.begun.wait()
    await asyncio.sleep(0.05)
    found = await scrape(free_tcp_port)
    backend.gate.set()
    await asyncio.gather(*calls)
    shown = [found["cowabungaai_backend_calls_in_flight"], found["cowabungaai_backend_calls_queued"]]
    assert shown == [1, 2]


@pytest.mark.parametrize(("backend", "load", "ready"), [(SlowToLoad(), False, 0), (Words(), True, 1)])
async def test_loading_is_shown(serve, free_tcp_port, backend, load, ready):
    await serve(backend, load=load, metrics_port=free_tcp_port)
    assert (await scrape(free_tcp_port))['cowabungaai_backend_model_loaded{model="words"}'] == ready
