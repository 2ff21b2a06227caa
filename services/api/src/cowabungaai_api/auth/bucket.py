# SPDX-License-Identifier: Apache-2.0
"""The token bucket, in whole numbers: no rounding ever lets one more through, or makes a client wait in vain.

A bucket of the size of the limit, that fills within a minute: in any span of t seconds at most `limit * (1 + t / 60)`.
"""

PERIOD_NS = 60_000_000_000
"""The time in which an empty bucket fills, in nanoseconds."""


class TokenBucket:
    """How much of a limit per minute is left.

    Args:
        limit: its size, and what comes back in a minute.
        now: the time, in nanoseconds of a clock that never goes back.
    """

    # The level is counted in tokens times PERIOD_NS, so that a nanosecond brings exactly `limit`.
    __slots__ = ("_full", "_level", "_updated", "limit")

    def __init__(self, limit: int, now: int) -> None:
        self.limit = limit
        self._full = limit * PERIOD_NS
        self._level = self._full
        self._updated = now

    def wait(self, amount: int, now: int) -> int:
        """How long until an amount can be taken, in nanoseconds; 0 where it can be now.

        Args:
            amount: at most the limit.
            now: the time.
        """
        level = self._level + (now - self._updated) * self.limit
        if level > self._full:
            level = self._full
        self._level = level
        self._updated = now
        missing = amount * PERIOD_NS - level
        return -(-missing // self.limit) if missing > 0 else 0

    def take(self, amount: int) -> None:
        """Takes an amount out; more than there is becomes a debt, which comes first when the bucket fills.

        Args:
            amount: what is taken; below zero it is given back.
        """
        self._level -= amount * PERIOD_NS
        if self._level > self._full:
            self._level = self._full

    def resize(self, limit: int, now: int) -> None:
        """Changes the limit; what was used stays used.

        Args:
            limit: the new one.
            now: the time.
        """
        used = self.limit - self.remaining(now)
        self.limit = limit
        self._full = limit * PERIOD_NS
        self._level = (limit - used) * PERIOD_NS

    def remaining(self, now: int) -> int:
        """How much can be taken now; never below zero.

        Args:
            now: the time.
        """
        self.wait(0, now)
        return max(0, self._level // PERIOD_NS)

    def fills_in(self, now: int) -> int:
        """When the bucket is full again, in nanoseconds.

        Args:
            now: the time.
        """
        return self.wait(self.limit, now)
