# SPDX-License-Identifier: Apache-2.0
"""Engines that block, on threads of their own."""

import asyncio
import contextvars
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cowabungaai_sdk.blocking import BUFFER, CancelToken, in_thread, run_blocking

pytestmark = pytest.mark.anyio


@pytest.fixture
def threads():
    with ThreadPoolExecutor(1) as executor:
        yield executor


def count(cancel: CancelToken, to: int, pause_s: float = 0.0):
    for number in range(to):
        if pause_s:
            time.sleep(pause_s)
        yield number


async def test_pieces_come_in_order(threads):
    assert [number async for number in in_thread(threads, count, 5 * BUFFER)] == list(range(5 * BUFFER))


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.integers(0, 3 * BUFFER), max_size=4))
def test_pieces_of_one_call_never_mix_with_anothers(sizes):
    async def read(executor, size):
        return [number async for number in in_thread(executor, count, size)]

    async def all_of_them():
        with ThreadPoolExecutor(2) as executor:
            return await asyncio.gather(*(read(executor, size) for size in sizes))

    assert asyncio.run(all_of_them()) == [list(range(size)) for size in sizes]


async def test_engine_is_no_further_ahead_than_the_buffer(threads):
    made = []

    def watch(cancel):
        for number in range(10 * BUFFER):
            made.append(number)
            yield number

    async with aclosing(in_thread(threads, watch)) as pieces:
        await anext(pieces)
        await asyncio.sleep(0.05)
        # What the reader took along, what is in the pipe, and the one that waits to get in.
        assert len(made) <= 2 * BUFFER + 1


async def test_error_comes_after_the_pieces_before_it(threads):
    def broken(cancel):
        yield 1
        raise LookupError("no more")

    pieces = in_thread(threads, broken)
    assert await anext(pieces) == 1
    with pytest.raises(LookupError, match="no more"):
        await anext(pieces)


async def test_leaving_stops_the_engine_and_waits_for_it(threads):
    ended = threading.Event()

    def endless(cancel):
        try:
            while not cancel.cancelled:
                yield 1
                time.sleep(0.001)
            time.sleep(0.02)
        finally:
            ended.set()

    async with aclosing(in_thread(threads, endless)) as pieces:
        await anext(pieces)
    assert ended.is_set()


async def test_cancelling_the_reader_wakes_an_engine_that_waits_for_its_token(threads):
    seen = []

    def patient(cancel):
        yield 1
        seen.append(cancel.wait(10))

    async def read():
        async for _ in in_thread(threads, patient):
            pass

    reader = asyncio.create_task(read())
    await asyncio.sleep(0.05)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(reader, 1)
    assert seen == [True]


async def test_engine_that_waits_for_a_full_pipe_is_released(threads):
    async with aclosing(in_thread(threads, count, 10 * BUFFER)) as pieces:
        await anext(pieces)
        await asyncio.sleep(0.02)
    assert await asyncio.wait_for(run_blocking(threads, lambda cancel: "free"), 1) == "free"


async def test_call_that_leaves_before_its_turn_never_runs(threads):
    ran = threading.Event()
    gate = threading.Event()
    first = asyncio.create_task(run_blocking(threads, lambda cancel: gate.wait(5)))
    await asyncio.sleep(0.02)
    second = asyncio.create_task(run_blocking(threads, lambda cancel: ran.set()))
    await asyncio.sleep(0.02)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    gate.set()
    await first
    await run_blocking(threads, lambda cancel: None)
    assert not ran.is_set()


async def test_blocking_function_gives_its_result_or_error(threads):
    def divide(cancel, a, b):
        return a / b

    assert await run_blocking(threads, divide, 6, b=3) == 2
    with pytest.raises(ZeroDivisionError):
        await run_blocking(threads, divide, 1, 0)


async def test_cancelled_function_is_told_and_awaited(threads):
    seen = []
    call = asyncio.create_task(run_blocking(threads, lambda cancel: seen.append(cancel.wait(10))))
    await asyncio.sleep(0.02)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert seen == [True]


async def test_context_reaches_the_thread(threads):
    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("set")

    def read(cancel):
        yield variable.get()

    assert [piece async for piece in in_thread(threads, read)] == ["set"]
    assert await run_blocking(threads, lambda cancel: variable.get()) == "set"


async def test_event_loop_goes_on_while_an_engine_blocks(threads):
    """An engine that sleeps for 200 ms between pieces must not delay the loop by more than a fraction of that."""
    lags = []

    async def tick():
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.005)
            lags.append(time.perf_counter() - before - 0.005)

    ticking = asyncio.create_task(tick())
    assert [number async for number in in_thread(threads, count, 3, pause_s=0.2)] == [0, 1, 2]
    ticking.cancel()
    assert len(lags) > 40
    assert max(lags) < 0.1


async def test_fast_pieces_share_wakeups(threads):
    """The loop is woken far less often than once a piece where pieces come faster than they are taken."""
    loop, wakeups = asyncio.get_running_loop(), []
    original = loop.call_soon_threadsafe
    loop.call_soon_threadsafe = lambda *arguments, **names: (wakeups.append(1), original(*arguments, **names))[1]
    total = 0
    async for _ in in_thread(threads, count, 50 * BUFFER):
        total += 1
    assert total == 50 * BUFFER
    assert len(wakeups) < total / 2
