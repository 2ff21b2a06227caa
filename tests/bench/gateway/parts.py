# SPDX-License-Identifier: Apache-2.0
"""Measures what the gateway's parts were chosen among: HTTP servers, HTTP clients, JSON; writes JSON.

Runs in an environment of its own, which has all of them: `./cowabunga bench parts`.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import httpx
import msgspec
import orjson
import uvloop
from cowabungaai_api.schemas.chat_request import ChatCompletionRequest
from cowabungaai_api.schemas.responses import ChatCompletion
from cowabungaai_api.upstream.http_client import HttpClient, Origin

ROUNDS = 5
SECONDS = "1s"
CLIENTS = (1, 16, 64)
REQUESTS = 4000
ANSWER: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1735689600,
    "model": "echo",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "w " * 16}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 16, "completion_tokens": 16, "total_tokens": 32},
}
REQUEST = {"model": "echo", "temperature": 0.5, "messages": [{"role": "user", "content": "w " * 16}]}
SERVERS = {
    "uvicorn, httptools, uvloop": ["uvicorn", "--http", "httptools", "--loop", "uvloop", "--log-level", "error"],
    "uvicorn, h11, uvloop": ["uvicorn", "--http", "h11", "--loop", "uvloop", "--log-level", "error"],
    "uvicorn, httptools, asyncio": ["uvicorn", "--http", "httptools", "--loop", "asyncio", "--log-level", "error"],
    "granian, ASGI": ["granian", "--interface", "asginl", "--loop", "uvloop", "--no-ws", "--log-level", "error"],
}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Echoes as the load generator expects; the least that an ASGI app can do."""
    if scope["type"] != "http":
        return
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    text = orjson.loads(body)["messages"][-1]["content"] if body else ""
    choice = {**ANSWER["choices"][0], "message": {"role": "assistant", "content": text}}
    answer = orjson.dumps({**ANSWER, "choices": [choice]})
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


def servers(program: str, port: int) -> dict[str, dict[str, float]]:
    """Requests/s and latency of servers before the least app, by the load generator."""
    found: dict[str, dict[str, float]] = {}
    for name, words in SERVERS.items():
        command = [sys.executable, "-m", words[0], *words[1:], "--host", "127.0.0.1", "--port", str(port)]
        target = "bench.gateway.parts:app"
        with subprocess.Popen([*command, target], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                _wait(port)
                cells = {clients: _load(program, port, clients) for clients in CLIENTS}
            finally:
                process.terminate()
        found[name] = {f"{clients} clients, requests/s": round(cell[0]) for clients, cell in cells.items()}
        found[name]["1 client, p50 µs"] = round(cells[1][1] * 1e6)
    return found


def _wait(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            httpx.get(f"http://127.0.0.1:{port}/", timeout=1)
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def _load(program: str, port: int, clients: int) -> tuple[float, float]:
    words = [
        "load",
        "-url",
        f"http://127.0.0.1:{port}/v1",
        "-clients",
        str(clients),
        "-time",
        SECONDS,
        "-warmup",
        "300ms",
    ]
    runs = []
    for _ in range(ROUNDS):
        done = subprocess.run([program, *words, "-warmup", "300ms"], capture_output=True, check=True)
        cell = json.loads(done.stdout)
        runs.append((cell["requests_per_second"], cell["latency"]["p50"]))
    return statistics.median(run[0] for run in runs), statistics.median(run[1] for run in runs)


async def clients(base: str) -> dict[str, dict[str, float]]:
    """CPU microseconds of this process for one request of each client, at 1 and 16 at once."""
    body = orjson.dumps(REQUEST)
    json_type = {"content-type": "application/json"}
    own = HttpClient(Origin.parse(base), 2)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {own.origin.authority}\r\n".encode()
    head += b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session, httpx.AsyncClient() as plain:

        async def by_aiohttp() -> None:
            async with session.post(f"{base}/chat/completions", data=body, headers=json_type) as answer:
                await answer.read()

        async def by_httpx() -> None:
            (await plain.post(f"{base}/chat/completions", content=body, headers=json_type)).raise_for_status()

        async def by_own() -> None:
            await own.exchange(10, head, body)

        ways = {"ours, httptools": by_own, "aiohttp": by_aiohttp, "httpx": by_httpx}
        rounds: dict[str, dict[int, list[float]]] = {name: {1: [], 16: []} for name in ways}
        for _ in range(ROUNDS):
            for name, way in ways.items():
                for at_once in (1, 16):
                    rounds[name][at_once].append(await _cpu(way, at_once))
    await own.close()
    return {
        name: {f"CPU µs, {at_once} at once": round(statistics.median(runs) * 1e6) for at_once, runs in cells.items()}
        for name, cells in rounds.items()
    }


async def _cpu(way: Callable[[], Awaitable[None]], at_once: int) -> float:
    async def many() -> None:
        for _ in range(REQUESTS // at_once):
            await way()

    await way()
    begun = time.process_time()
    await asyncio.gather(*(many() for _ in range(at_once)))
    return (time.process_time() - begun) / REQUESTS


def json_libraries() -> dict[str, dict[str, float]]:
    """Microseconds to read and check a request, and to write an answer."""
    raw = json.dumps(REQUEST).encode()
    model = ChatCompletion.model_validate(ANSWER)
    check, whole = ChatCompletionRequest, ChatCompletion
    return {
        "pydantic: validate_json": {"µs": _each(lambda: check.model_validate_json(raw))},
        "json.loads, then pydantic": {"µs": _each(lambda: check.model_validate(json.loads(raw)))},
        "orjson.loads, then pydantic": {"µs": _each(lambda: check.model_validate(orjson.loads(raw)))},
        "write: orjson": {"µs": _each(lambda: orjson.dumps(ANSWER))},
        "write: msgspec": {"µs": _each(lambda: msgspec.json.encode(ANSWER))},
        "write: json": {"µs": _each(lambda: json.dumps(ANSWER).encode())},
        "write: pydantic, model made before": {"µs": _each(model.model_dump_json)},
        "write: pydantic, model made too": {"µs": _each(lambda: whole.model_validate(ANSWER).model_dump_json())},
    }


def _each(work: Callable[[], object], count: int = 20_000) -> float:
    rounds = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        for _ in range(count):
            work()
        rounds.append((time.perf_counter() - begun) / count)
    return round(statistics.median(rounds) * 1e6, 2)


def main(program: str, port: str) -> None:
    """Measures everything.

    Args:
        program: the echo server and load generator.
        port: a free port of the loopback.
    """
    found = {"servers": servers(program, int(port)), "json": json_libraries()}
    with subprocess.Popen([program, "echo", "-addr", f"127.0.0.1:{port}"], stdout=subprocess.DEVNULL) as echo:
        try:
            _wait(int(port))
            found["clients"] = uvloop.run(clients(f"http://127.0.0.1:{port}/v1"))
        finally:
            echo.terminate()
    print(json.dumps({"python": sys.version.split()[0], "cores": os.cpu_count(), **found}))


if __name__ == "__main__":
    main(*sys.argv[1:])
