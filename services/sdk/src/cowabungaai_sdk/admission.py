# SPDX-License-Identifier: Apache-2.0
"""How many calls an engine works on at once, and how many may wait for their turn."""

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cowabungaai_sdk.errors import BackendOverloadedError

RECENT = 32
"""How many of the last calls' durations the estimate of a wait is made from."""


class Admission:
    """Slots for calls, first come, first served; a caller that leaves the queue frees its place.

    Args:
        max_concurrency: how many calls hold a slot at once; None means any number.
        max_queue: how many calls may wait; one more is refused.
    """

    def __init__(self, max_concurrency: int | None, max_queue: int) -> None:
        self.max_concurrency = max_concurrency
        self.max_queue = max_queue
        self.waiting = 0
        self.working = 0
        self._slots = asyncio.Semaphore(max_concurrency) if max_concurrency is not None else None
        self._durations: deque[float] = deque(maxlen=RECENT)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[float]:
        """Waits for a slot and holds it for the body.

        Yields:
            How long the wait was, in seconds.

        Raises:
            BackendOverloadedError: the queue is full.
        """
        begun = time.perf_counter()
        if self._slots is not None:
            await self._wait(self._slots)
        started = time.perf_counter()
        self.working += 1
        try:
            yield started - begun
        finally:
            self.working -= 1
            if self._slots is not None:
                self._durations.append(time.perf_counter() - started)
                self._slots.release()

    async def _wait(self, slots: asyncio.Semaphore) -> None:
        if not slots.locked():
            await slots.acquire()
            return
        if self.waiting >= self.max_queue:
            message = f"all {self.max_concurrency} slots are taken and {self.waiting} calls wait; try again later"
            raise BackendOverloadedError(message, self._retry_after_s())
        self.waiting += 1
        try:
            await slots.acquire()
        finally:
            self.waiting -= 1

    def _retry_after_s(self) -> float | None:
        """When a place in the queue will be free: the time that one slot's worth of calls takes, on the average."""
        if not self._durations or self.max_concurrency is None:
            return None
        seconds = sum(self._durations) / len(self._durations) / self.max_concurrency
        return math.ceil(seconds * 1000) / 1000
