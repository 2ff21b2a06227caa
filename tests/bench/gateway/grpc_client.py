# SPDX-License-Identifier: Apache-2.0
"""The native client: asks a backend over gRPC as bench's Go program asks over HTTP, and prints the same JSON.

It runs in a service's environment, with the SDK's sources on its path. One process of Python is the limit of what it
can ask; with one client it shows how soon a backend answers.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import sys
import time
from dataclasses import dataclass, field
from itertools import pairwise

import grpc
from cowabungaai_sdk.v1.chat_pb2 import ROLE_USER, ChatMessage, ChatRequest, ContentPart
from cowabungaai_sdk.v1.chat_pb2_grpc import ChatServiceStub

from bench import probe

CONNECTIONS = 16
TIMEOUT_SECONDS = 60.0
POLL_SECONDS = 0.005


class WrongAnswerError(Exception):
    """An answer is not the whole echo."""


@dataclass
class Samples:
    """Exact samples in seconds, of answers that ended while `measuring`."""

    measuring: bool = False
    ending: bool = False
    warm: int = 0
    latency: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    gap: list[float] = field(default_factory=list)
    events: int = 0


async def ask(stub: ChatServiceStub, request: ChatRequest, stream: bool) -> list[float]:
    """Ask once and check the answer.

    Args:
        stub: Of the connection.
        request: What is asked.
        stream: Whether the answer comes in pieces.

    Returns:
        When each piece of text came; empty for a whole answer.

    Raises:
        WrongAnswerError: It is not the whole message.
    """
    wanted = request.messages[0].content[0].text
    if not stream:
        answer = await stub.Chat(request, timeout=TIMEOUT_SECONDS)
        text = "".join(part.text for part in answer.choices[0].message.content)
        arrived: list[float] = []
    else:
        text, arrived = "", []
        async for chunk in stub.ChatStream(request, timeout=TIMEOUT_SECONDS):
            for choice in chunk.choices:
                if choice.text:
                    text += choice.text
                    arrived.append(time.perf_counter())
    if text != wanted:
        raise WrongAnswerError(f"the message is not echoed: {text[:300]!r}")
    return arrived


async def client(stub: ChatServiceStub, request: ChatRequest, stream: bool, samples: Samples) -> None:
    """Ask again and again until the run ends."""
    warm = False
    while not samples.ending:
        begun = time.perf_counter()
        arrived = await ask(stub, request, stream)
        ended = time.perf_counter()
        samples.warm += not warm
        warm = True
        if samples.measuring:
            samples.latency.append(ended - begun)
            samples.first += [moment - begun for moment in arrived[:1]]
            samples.gap += [later - earlier for earlier, later in pairwise(arrived)]
            samples.events += len(arrived)


async def measure(arguments: argparse.Namespace) -> dict[str, object]:
    """Run the clients; what they saw, as JSON has it."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    channels = [
        grpc.aio.insecure_channel(arguments.target, options=options) for _ in range(min(arguments.clients, CONNECTIONS))
    ]
    text = " ".join(f"word{number}" for number in range(arguments.tokens))
    message = ChatMessage(role=ROLE_USER, content=[ContentPart(text=text)])
    request = ChatRequest(model=arguments.model, messages=[message])
    samples = Samples()
    stubs = [ChatServiceStub(channel) for channel in channels]
    tasks = [
        asyncio.create_task(client(stubs[number % len(stubs)], request, arguments.stream, samples))
        for number in range(arguments.clients)
    ]

    async def until(seconds: float, enough: int, count: str) -> None:
        begun = time.perf_counter()
        while time.perf_counter() - begun < seconds or _done(samples, count) < enough:
            for task in tasks:
                if task.done():
                    task.result()
            await asyncio.sleep(POLL_SECONDS)

    try:
        await until(arguments.warmup, arguments.clients, "warm")
        before = {pid: probe.read(pid) for pid in arguments.pid}
        begun = time.perf_counter()
        samples.measuring = True
        await until(arguments.time, arguments.clients, "latency")
        samples.measuring = False
        seconds = time.perf_counter() - begun
        after = {pid: probe.read(pid) for pid in arguments.pid}
        samples.ending = True
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        # The first failure is the one that is told; those of other clients are the same.
        await asyncio.gather(*tasks, return_exceptions=True)
        for channel in channels:
            await channel.close()
    return {
        "clients": arguments.clients,
        "stream": arguments.stream,
        "tokens": arguments.tokens,
        "seconds": seconds,
        "requests": len(samples.latency),
        "requests_per_second": len(samples.latency) / seconds,
        "latency": spread(samples.latency),
        "first_token": spread(samples.first) if arguments.stream else None,
        "gap": spread(samples.gap) if arguments.stream else None,
        "events_per_answer": samples.events / len(samples.latency),
        "reconnects": 0,
        "processes": [
            {
                "pid": pid,
                "cpu_seconds": after[pid].cpu - before[pid].cpu,
                "rss_bytes": after[pid].resident,
                "rss_peak_bytes": after[pid].peak,
            }
            for pid in arguments.pid
        ],
    }


def _done(samples: Samples, count: str) -> int:
    return samples.warm if count == "warm" else len(samples.latency)


def spread(samples: list[float]) -> dict[str, float]:
    """Quantiles: the smallest sample that at least that part of them does not exceed."""
    ordered = sorted(samples)

    def at(part: float) -> float:
        return ordered[max(0, math.ceil(round(part * len(ordered), 9)) - 1)]

    return {
        "p50": at(0.5),
        "p90": at(0.9),
        "p99": at(0.99),
        "max": ordered[-1],
        "mean": sum(ordered) / len(ordered),
    }


def main() -> int:
    """Run the command line; its exit status."""
    parser = argparse.ArgumentParser(description="Measures a backend over gRPC.")
    parser.add_argument("--target", required=True, metavar="HOST:PORT")
    parser.add_argument("--model", required=True)
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--time", type=float, default=5.0, help="seconds of measuring")
    parser.add_argument("--warmup", type=float, default=1.0, help="seconds before that")
    parser.add_argument("--stream", action="store_true")
    parser.add_argument("--pid", type=int, action="append", default=[])
    try:
        print(json.dumps(asyncio.run(measure(parser.parse_args()))))
    except grpc.aio.AioRpcError as error:
        print(f"error: {error.code().name}: {error.details()}", file=sys.stderr)
        return 1
    except (WrongAnswerError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
