# SPDX-License-Identifier: Apache-2.0
"""Batches across requests: what waits when the engine is free goes together, texts of like length side by side."""

import threading
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cowabungaai_sdk.errors import BackendFailedError, BackendUnavailableError
from cowabungaai_text_embeddings.engine import Engine, Tokens

Vectors = list[NDArray[np.float32]]

LIKE_SHARE, LIKE_TOKENS = 0.75, 8
"""Texts go together where the shorter has at least this share of the longer one's tokens, less this many."""


@dataclass(eq=False, slots=True)
class Job:
    """The texts of one request.

    Args:
        texts: their tokens.
        vectors: those that are made.
        left: texts without a vector.
        waiting: texts that no batch has taken yet, the longest last.
        future: gets the vectors.
    """

    texts: Sequence[Tokens]
    vectors: list[NDArray[np.float32] | None]
    left: int
    waiting: list["_Entry"] = field(default_factory=list)
    future: "Future[Vectors]" = field(default_factory=Future)


@dataclass(eq=False, slots=True)
class _Entry:
    """A text that waits."""

    job: Job
    index: int
    length: int
    taken: bool = False


class Batcher:
    """Feeds an engine from a queue. Nobody waits for others to come: a batch is what is there.

    Requests take turns, so that a small one does not wait for all texts of a large one.

    Args:
        engine: does the work.
        max_tokens: the most tokens of a batch, padding included; a longer text is a batch of its own.
        streams: how many batches are worked on at once.
    """

    def __init__(self, engine: Engine, max_tokens: int, streams: int) -> None:
        self._engine = engine
        self._max_tokens = max_tokens
        self._changed = threading.Condition()
        self._jobs: deque[Job] = deque()
        # Of all jobs, the shortest first.
        self._entries: list[_Entry] = []
        self._closed = False
        self._threads = [threading.Thread(target=self._work, name=f"engine-{number}") for number in range(streams)]
        for thread in self._threads:
            thread.start()

    def submit(self, texts: Sequence[Tokens]) -> "Future[Vectors]":
        """Puts texts into the queue.

        Args:
            texts: their tokens; at least one text.

        Returns:
            What gets their vectors, in their order. Cancelling it takes them out of the queue.

        Raises:
            BackendUnavailableError: the threads have ended.
        """
        job = Job(texts, [None] * len(texts), len(texts))
        job.waiting = sorted((_Entry(job, at, len(text)) for at, text in enumerate(texts)), key=_length)
        job.future.add_done_callback(self._forget)
        with self._changed:
            if self._closed:
                raise BackendUnavailableError("the backend is stopping")
            self._jobs.append(job)
            self._entries.extend(job.waiting)
            self._entries.sort(key=_length)
            self._changed.notify(len(texts))
        return job.future

    def close(self) -> None:
        """Ends the threads after their batches; what waits then is cancelled."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        for job in list(self._jobs):
            job.future.cancel()

    def _work(self) -> None:
        while (batch := self._next()) is not None:
            try:
                vectors = self._engine.vectors([entry.job.texts[entry.index] for entry in batch])
                if len(vectors) != len(batch):
                    raise BackendFailedError(f"the engine made {len(vectors)} vectors of {len(batch)} texts")
            # Nothing is swallowed: the requests raise it.
            except Exception as error:
                self._fail(batch, error)
            else:
                self._deliver(batch, vectors)

    def _next(self) -> list[_Entry] | None:
        """Waits for a batch; None at the end."""
        with self._changed:
            while True:
                if self._closed:
                    return None
                if batch := self._take():
                    return batch
                self._changed.wait()

    def _take(self) -> list[_Entry]:
        """Takes the longest text of the request whose turn it is, and texts of like length of all requests."""
        while self._jobs:
            job = self._jobs.popleft()
            while job.waiting and job.waiting[-1].taken:
                job.waiting.pop()
            if not job.waiting:
                continue
            self._jobs.append(job)
            return self._with_like(job.waiting.pop())
        return []

    def _with_like(self, first: _Entry) -> list[_Entry]:
        del self._entries[self._entries.index(first, bisect_left(self._entries, first.length, key=_length))]
        end = bisect_right(self._entries, first.length, key=_length)
        room = self._max_tokens // first.length - 1
        least = first.length * LIKE_SHARE - LIKE_TOKENS
        start = end
        while start > 0 and end - start < room and self._entries[start - 1].length >= least:
            start -= 1
        batch = [first, *self._entries[start:end]]
        del self._entries[start:end]
        for entry in batch:
            entry.taken = True
        return batch

    def _drop(self, job: Job) -> None:
        self._entries = [entry for entry in self._entries if entry.job is not job]
        job.waiting.clear()

    def _forget(self, future: "Future[Vectors]") -> None:
        """Takes the texts of a request that was cancelled out of the queue."""
        if future.cancelled():
            with self._changed:
                for job in [job for job in self._jobs if job.future is future]:
                    self._drop(job)

    def _deliver(self, batch: Sequence[_Entry], vectors: NDArray[np.float32]) -> None:
        with self._changed:
            for entry, vector in zip(batch, vectors, strict=True):
                job = entry.job
                job.vectors[entry.index] = vector
                job.left -= 1
                if not job.left and job.future.set_running_or_notify_cancel():
                    job.future.set_result([vector for vector in job.vectors if vector is not None])

    def _fail(self, batch: Sequence[_Entry], error: Exception) -> None:
        with self._changed:
            for job in {entry.job for entry in batch}:
                self._drop(job)
                # Another stream may have failed it already.
                if not job.future.done() and job.future.set_running_or_notify_cancel():
                    job.future.set_exception(error)


def _length(entry: _Entry) -> int:
    return entry.length
