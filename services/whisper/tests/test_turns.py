# SPDX-License-Identifier: Apache-2.0
"""Turns at an engine."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from cowabungaai_sdk.blocking import CancelToken
from cowabungaai_whisper.turns import CallerLeft, Turns


class Work:
    """An engine that works until it is let go on; remembers what went together."""

    def __init__(self) -> None:
        self.batches: list[list[object]] = []
        self.go_on = threading.Event()

    def __call__(self, batch: list[object]) -> list[object]:
        self.batches.append(list(batch))
        assert self.go_on.wait(10)
        return [f"<{one}>" for one in batch]


@pytest.fixture
def turns() -> Iterator[Turns]:
    """One worker, batches of three."""
    made = Turns(workers=1, batch_size=3)
    yield made
    made.close()


@pytest.fixture
def work() -> Iterator[Work]:
    """The engine's work, let go at the end."""
    made = Work()
    yield made
    made.go_on.set()


def waiting(turns: Turns, count: int) -> None:
    deadline = time.monotonic() + 10
    while len(turns._waiting) != count:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def queue(pool: ThreadPoolExecutor, turns: Turns, work: Work, jobs: list[tuple[str, str | None]]) -> list:
    """Queues the jobs in their order behind one that is running."""
    results = [pool.submit(turns.take, CancelToken(), "first", work, None)]
    while not work.batches:
        time.sleep(0.001)
    for position, (name, kind) in enumerate(jobs, 1):
        results.append(pool.submit(turns.take, CancelToken(), name, work, kind))
        waiting(turns, position)
    work.go_on.set()
    return [result.result(10) for result in results]


def test_calls_of_one_kind_that_wait_go_together(turns, work):
    jobs = [("a1", "a"), ("b1", "b"), ("a2", "a"), ("a3", "a"), ("a4", "a"), ("b2", "b"), ("c", None), ("d", None)]
    with ThreadPoolExecutor(16) as pool:
        results = queue(pool, turns, work, jobs)
    assert work.batches == [["first"], ["a1", "a2", "a3"], ["b1", "b2"], ["a4"], ["c"], ["d"]]
    assert results == ["<first>", *(f"<{name}>" for name, _ in jobs)]


def test_error_reaches_all_of_its_batch_and_no_other(turns, work):
    def fail(batch: list[object]) -> list[object]:
        raise RuntimeError(f"{len(batch)} together")

    with ThreadPoolExecutor(16) as pool:
        first = pool.submit(turns.take, CancelToken(), "first", work, None)
        while not work.batches:
            time.sleep(0.001)
        failing = [pool.submit(turns.take, CancelToken(), i, fail, "f") for i in range(2)]
        waiting(turns, 2)
        good = pool.submit(turns.take, CancelToken(), "good", work, "g")
        waiting(turns, 3)
        work.go_on.set()
        for result in failing:
            with pytest.raises(RuntimeError, match="2 together"):
                result.result(10)
        assert (first.result(10), good.result(10)) == ("<first>", "<good>")


@pytest.mark.parametrize("begun", [True, False])
def test_caller_leaves_at_once(turns, work, begun):
    cancel = CancelToken()
    with ThreadPoolExecutor(4) as pool:
        if not begun:
            pool.submit(turns.take, CancelToken(), "first", work, None)
            while not work.batches:
                time.sleep(0.001)
        leaving = pool.submit(turns.take, cancel, "leaving", work, None)
        while begun and not work.batches:
            time.sleep(0.001)
        waiting(turns, 0 if begun else 1)
        cancel.cancel()
        left = time.monotonic()
        with pytest.raises(CallerLeft):
            leaving.result(10)
        assert time.monotonic() - left < 0.1
        work.go_on.set()
        assert turns.take(CancelToken(), "next", work) == "<next>"
    assert ["leaving"] not in work.batches or begun


def test_caller_that_left_is_no_part_of_a_batch(turns, work):
    cancel = CancelToken()
    with ThreadPoolExecutor(8) as pool:
        pool.submit(turns.take, CancelToken(), "first", work, None)
        while not work.batches:
            time.sleep(0.001)
        results = []
        for position, (name, token) in enumerate([("a", CancelToken()), ("b", cancel), ("c", CancelToken())], 1):
            results.append(pool.submit(turns.take, token, name, work, "k"))
            waiting(turns, position)
        cancel.cancel()
        with pytest.raises(CallerLeft):
            results[1].result(10)
        work.go_on.set()
        assert (results[0].result(10), results[2].result(10)) == ("<a>", "<c>")
    assert work.batches == [["first"], ["a", "c"]]


def test_close_ends_those_who_wait(work):
    turns = Turns(workers=1, batch_size=2)
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(turns.take, CancelToken(), "first", work, None)
        while not work.batches:
            time.sleep(0.001)
        second = pool.submit(turns.take, CancelToken(), "second", work, None)
        waiting(turns, 1)
        closing = pool.submit(turns.close)
        with pytest.raises(CallerLeft):
            second.result(10)
        work.go_on.set()
        assert first.result(10) == "<first>"
        closing.result(10)
    with pytest.raises(CallerLeft):
        turns.take(CancelToken(), "late", work)
    assert not any(thread.name.startswith("engine-") and thread in turns._threads for thread in threading.enumerate())
