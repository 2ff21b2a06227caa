# SPDX-License-Identifier: Apache-2.0
"""The replicas of one backend: which of them gets the next request, and who waits when all are busy.

Among the usable ones two are drawn at random and the less busy one gets the request ("the power of two choices",
Mitzenmacher 2001): nearly as even as asking all, and no herd runs to the one that was idle a moment ago.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from hashlib import blake2b

from cowabungaai_api.config.file import Backend
from cowabungaai_api.routing.replica import Replica
from cowabungaai_api.upstream.base import Upstream
from cowabungaai_sdk.errors import BackendOverloadedError, BackendUnavailableError

Connect = Callable[[str], Upstream]
AFFINITY_SLACK = 1.25
"""How much busier than the average a replica may be and still get the conversations that it has in its cache."""


@dataclass(frozen=True, slots=True, eq=False)
class _Waiter:
    """Someone who waits for a replica; see Pool.acquire."""

    turn: asyncio.Future[Replica]
    key: bytes | None
    tried: Collection[Replica]


class Pool:
    """Replicas of one backend. Use it in one event loop.

    Args:
        name: the backend's name, for messages.
        config: its configuration.
        connect: makes the way to an address.
    """

    def __init__(self, name: str, config: Backend, connect: Connect) -> None:
        self.name = name
        self.config = config
        self.replicas: list[Replica] = []
        self._connect = connect
        self._waiting: deque[_Waiter] = deque()
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._closing: set[asyncio.Task[None]] = set()
        self.set_addresses(config.replicas)

    @property
    def waiting(self) -> int:
        """How many requests wait for a replica."""
        return len(self._waiting)

    @property
    def ready(self) -> bool:
        """Whether a replica may be asked now."""
        now = self._loop.time()
        return any(replica.usable(now) for replica in self.replicas)

    def set_addresses(self, addresses: Iterable[str]) -> None:
        """Sets which replicas there are; those that are gone finish what they have.

        Args:
            addresses: their URLs.
        """
        wanted = dict.fromkeys(addresses)
        kept = {replica.address: replica for replica in self.replicas if replica.address in wanted}
        for replica in self.replicas:
            if replica.address not in wanted:
                replica.leaving = True
                if not replica.outstanding:
                    self._close(replica)
        self.replicas = [
            kept.get(address) or Replica(address, self._connect(address), self.config.ejection) for address in wanted
        ]
        self.admit()

    async def acquire(self, key: bytes | None, tried: Collection[Replica] = ()) -> Replica:
        """Gives the replica for a request, which counts as busy until release.

        Args:
            key: requests with the same key go to the same replica where they can.
            tried: replicas that failed this request.

        Raises:
            BackendUnavailableError: there is none, or none that was not tried.
            BackendOverloadedError: all are busy, and the queue is full or did not move in time.
        """
        replica = self._choose(key, tried) if not self._waiting else None
        if replica is None:
            return await self._queue(key, tried)
        replica.outstanding += 1
        return replica

    def release(self, replica: Replica) -> None:
        """Takes a replica back.

        Args:
            replica: one that acquire gave.
        """
        replica.outstanding -= 1
        if self._waiting:
            self.admit()
        if self._closed and not self._waiting and self.replicas:
            self._close_idle()
        elif replica.leaving and not replica.outstanding:
            self._close(replica)

    def _choose(self, key: bytes | None, tried: Collection[Replica]) -> Replica | None:
        """The replica for the next request; None where those that could answer are busy."""
        now = self._loop.time()
        usable = [r for r in self.replicas if r.usable(now) and r not in tried]
        if not usable:
            # Better one that failed a moment ago than none; a failed health check is another matter.
            usable = [r for r in self.replicas if r.healthy is not False and r not in tried]
        if not usable:
            raise BackendUnavailableError(f"no replica of {self.name} is ready")
        limit = self.config.concurrency
        free = usable if limit is None else [r for r in usable if r.outstanding < limit]
        if len(free) < 2:
            return free[0] if free else None
        if key is not None and (close := self._closest(key, free)):
            return close
        first, second = random.sample(free, 2)
        return second if second.outstanding < first.outstanding else first

    @staticmethod
    def _closest(key: bytes, free: list[Replica]) -> Replica | None:
        """The replica that the key belongs to, unless it is much busier than the others (rendezvous hashing)."""
        chosen = max(free, key=lambda r: blake2b(r.address.encode(), key=key[:64], digest_size=8).digest())
        average = sum(r.outstanding for r in free) / len(free)
        return chosen if chosen.outstanding <= average * AFFINITY_SLACK + 1 else None

    async def _queue(self, key: bytes | None, tried: Collection[Replica]) -> Replica:
        """Waits for a replica; first come, first served."""
        if len(self._waiting) >= self.config.queue:
            raise BackendOverloadedError(f"the queue of {self.name} is full", self._expected_wait())
        waiter = _Waiter(self._loop.create_future(), key, tried)
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(self.config.queue_timeout_s):
                return await waiter.turn
        except BaseException as error:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            if waiter.turn.done() and not waiter.turn.cancelled() and waiter.turn.exception() is None:
                # It came when nobody wanted it any more.
                self.release(waiter.turn.result())
            if not isinstance(error, TimeoutError):
                raise
            message = f"no replica of {self.name} was free within {self.config.queue_timeout_s:g} s"
            raise BackendOverloadedError(message, self._expected_wait()) from error

    def admit(self) -> None:
        """Gives what is free to those who wait; one that has tried all that is free lets the next one go first."""
        passed: list[_Waiter] = []
        while self._waiting and self._any_free():
            waiter = self._waiting.popleft()
            if waiter.turn.done():
                continue
            try:
                replica = self._choose(waiter.key, waiter.tried)
            except BackendUnavailableError as error:
                waiter.turn.set_exception(error)
                continue
            if replica is None:
                passed.append(waiter)
            else:
                replica.outstanding += 1
                waiter.turn.set_result(replica)
        self._waiting.extendleft(reversed(passed))

    def _any_free(self) -> bool:
        limit = self.config.concurrency
        return limit is None or any(replica.outstanding < limit for replica in self.replicas) or not self.replicas

    def _expected_wait(self) -> float:
        """A guess at when a place may be free, in seconds."""
        return min(self.config.queue_timeout_s, 1.0 + len(self._waiting) / max(1, len(self.replicas)))

    def _close(self, replica: Replica) -> None:
        task = self._loop.create_task(replica.upstream.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Lets replicas finish what they have and what waits for them, then closes them."""
        self._closed = True
        if not self._waiting:
            self._close_idle()
        await asyncio.gather(*self._closing)

    def _close_idle(self) -> None:
        for replica in self.replicas:
            replica.leaving = True
            if not replica.outstanding:
                self._close(replica)
        self.replicas = []
