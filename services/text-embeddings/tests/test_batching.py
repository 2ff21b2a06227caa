# SPDX-License-Identifier: Apache-2.0
"""Batches across requests."""

import asyncio
import threading
from concurrent.futures import CancelledError

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cowabungaai_sdk.errors import BackendFailedError, BackendUnavailableError
from cowabungaai_sdk.models import locate
from cowabungaai_text_embeddings.backend import TextEmbeddings
from cowabungaai_text_embeddings.batching import LIKE_SHARE, LIKE_TOKENS, Batcher
from cowabungaai_text_embeddings.config import Settings
from reference import Reference
from support import Watch, queued, request


class Double:
    """An engine whose vectors tell length and first token; waits, fails and counts as told."""

    def __init__(self, *, wait: bool = False) -> None:
        self.batches: list[list[int]] = []
        self.began, self.open = threading.Semaphore(0), threading.Event()
        self.fails: BaseException | None = None
        if not wait:
            self.open.set()

    def vectors(self, texts):
        self.batches.append([len(text) for text in texts])
        self.began.release()
        assert self.open.wait(20)
        if self.fails:
            raise self.fails
        return np.array([[len(text), text[0]] for text in texts], np.float32)


@pytest.fixture
def batcher():
    """Makes batchers; ends their threads."""
    made = []

    def make(engine, max_tokens=1000, streams=1):
        made.append((engine, Batcher(engine, max_tokens, streams)))
        return made[-1][1]

    yield make
    for engine, each in made:
        engine.open.set()
        each.close()


def texts_of(*lengths: int) -> list[np.ndarray]:
    return [np.full(length, number, np.int32) for number, length in enumerate(lengths)]


def wanted_of(lengths) -> list[list[int]]:
    return [[length, number] for number, length in enumerate(lengths)]


def is_like(lengths: list[int]) -> bool:
    return min(lengths) >= max(lengths) * LIKE_SHARE - LIKE_TOKENS


@pytest.mark.anyio
async def test_requests_that_wait_go_together_and_texts_of_like_length_side_by_side(folder, monkeypatch):
    backend = TextEmbeddings([locate(str(folder))], Settings(precision="float32", streams=1))
    await backend.load()
    watch = Watch(monkeypatch)
    first = asyncio.create_task(backend.embed(request(["sun"])))
    assert await asyncio.to_thread(watch.began.wait, 20)
    # Short and long ones in turn: 3 and 28 tokens with [CLS] and [SEP].
    texts = ["moon", "the " * 26] * 4
    several = [asyncio.create_task(backend.embed(request([text]))) for text in texts]
    await queued(backend, 1 + len(texts))
    watch.go()
    answers = await asyncio.gather(first, *several)
    await backend.close()
    assert sorted(watch.batches[1:]) == [[3] * 4, [28] * 4]
    found = [np.frombuffer(answer.vectors[0], "<f4") for answer in answers]
    reference = Reference(folder)
    np.testing.assert_allclose(found, [reference.embed(text) for text in ["sun", *texts]], atol=2e-5)


def test_long_texts_go_first_and_a_batch_has_at_most_so_many_tokens(batcher):
    engine = Double()
    lengths = [3, 200, 4, 190, 90, 5, 90, 180]
    found = batcher(engine, max_tokens=400).submit(texts_of(*lengths)).result(20)
    assert np.array(found).tolist() == wanted_of(lengths)
    assert engine.batches == [[200, 190], [180], [90, 90], [5, 3, 4]]


def test_text_longer_than_a_batch_is_one_of_its_own(batcher):
    engine = Double()
    batcher(engine, max_tokens=10).submit(texts_of(30, 30)).result(20)
    assert engine.batches == [[30], [30]]


def test_small_request_does_not_wait_for_all_of_a_large_one(batcher):
    engine = Double(wait=True)
    made = batcher(engine, max_tokens=100)
    large = made.submit(texts_of(*[100] * 20))
    assert engine.began.acquire(timeout=20)
    small = made.submit(texts_of(5))
    order = []
    large.add_done_callback(lambda _: order.append("large"))
    small.add_done_callback(lambda _: order.append("small"))
    engine.open.set()
    large.result(20)
    assert order == ["small", "large"]
    assert [5] in engine.batches[:3]


def test_streams_work_side_by_side(batcher):
    engine = Double(wait=True)
    made = batcher(engine, max_tokens=10, streams=2)
    found = made.submit(texts_of(10, 10, 10))
    # Both are in the engine before either is let go.
    assert engine.began.acquire(timeout=20)
    assert engine.began.acquire(timeout=20)
    assert len(engine.batches) == 2
    engine.open.set()
    assert np.array(found.result(20)).tolist() == wanted_of([10, 10, 10])


@pytest.mark.parametrize("streams", [1, 2])
def test_failure_is_raised_where_it_belongs_and_the_rest_is_not_begun(batcher, streams):
    engine = Double(wait=True)
    made = batcher(engine, max_tokens=10, streams=streams)
    fails = made.submit(texts_of(10, 10, 10, 10))
    for _ in range(streams):
        assert engine.began.acquire(timeout=20)
    engine.fails = ValueError("broken")
    engine.open.set()
    with pytest.raises(ValueError, match="broken"):
        fails.result(20)
    engine.fails = None
    assert np.array(made.submit(texts_of(4)).result(20)).tolist() == [[4, 0]]
    assert len(engine.batches) <= 2 * streams + 1


def test_cancelled_request_is_dropped(batcher):
    engine = Double(wait=True)
    made = batcher(engine)
    first = made.submit(texts_of(5))
    assert engine.began.acquire(timeout=20)
    gone, comes = made.submit(texts_of(50, 60)), made.submit(texts_of(100))
    assert gone.cancel()
    engine.open.set()
    first.result(20)
    comes.result(20)
    assert engine.batches == [[5], [100]]


def test_texts_of_a_cancelled_request_fill_no_batch(batcher):
    engine = Double(wait=True)
    made = batcher(engine)
    first = made.submit(texts_of(5))
    assert engine.began.acquire(timeout=20)
    comes, gone, last = [made.submit(texts_of(9, 9)) for _ in range(3)]
    assert gone.cancel()
    engine.open.set()
    for future in (first, comes, last):
        future.result(20)
    assert engine.batches == [[5], [9] * 4]


@pytest.mark.parametrize("made", [0, 1, 3])
def test_wrong_number_of_vectors_fails_the_batch_and_no_other(batcher, made):
    engine = Double()
    batches = batcher(engine, max_tokens=10)
    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(engine, "vectors", lambda texts: np.zeros((made, 2), np.float32))
        with pytest.raises(BackendFailedError, match=f"the engine made {made} vectors of 2 texts"):
            batches.submit(texts_of(5, 5)).result(20)
    assert np.array(batches.submit(texts_of(4)).result(20)).tolist() == [[4, 0]]


def test_request_cancelled_in_the_engine_hurts_nobody(batcher):
    engine = Double(wait=True)
    made = batcher(engine)
    gone = made.submit(texts_of(5))
    assert engine.began.acquire(timeout=20)
    assert gone.cancel()
    engine.open.set()
    assert np.array(made.submit(texts_of(4)).result(20)).tolist() == [[4, 0]]


def test_what_waits_at_the_end_is_cancelled():
    engine = Double(wait=True)
    made = Batcher(engine, 10, 1)
    works = made.submit(texts_of(10))
    assert engine.began.acquire(timeout=20)
    waits = made.submit(texts_of(10))
    closing = threading.Thread(target=made.close)
    closing.start()
    engine.open.set()
    closing.join(20)
    works.result(20)
    with pytest.raises(CancelledError):
        waits.result(20)
    with pytest.raises(BackendUnavailableError, match="the backend is stopping"):
        made.submit(texts_of(10))


@settings(max_examples=60, deadline=None)
@given(
    requests=st.lists(st.lists(st.integers(1, 300), min_size=1, max_size=12), min_size=1, max_size=6),
    max_tokens=st.integers(1, 900),
    streams=st.integers(1, 3),
)
def test_every_text_gets_its_vector_once_in_bounded_batches(requests, max_tokens, streams):
    engine = Double()
    made = Batcher(engine, max_tokens, streams)
    try:
        futures = [made.submit(texts_of(*lengths)) for lengths in requests]
        for future, lengths in zip(futures, requests, strict=True):
            assert np.array(future.result(20)).tolist() == wanted_of(lengths)
    finally:
        made.close()
    assert sum(map(len, engine.batches)) == sum(map(len, requests))
    assert all(len(batch) == 1 or max(batch) * len(batch) <= max_tokens for batch in engine.batches)
    assert all(is_like(batch) for batch in engine.batches)
