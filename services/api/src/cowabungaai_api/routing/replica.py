# SPDX-License-Identifier: Apache-2.0
"""One replica: how busy it is, and whether it can be trusted to answer."""

import random
from dataclasses import dataclass
from typing import Literal

from cowabungaai_api.config.file import Ejection
from cowabungaai_api.upstream.base import Upstream

State = Literal["ready", "unknown", "unhealthy", "ejected", "leaving"]


@dataclass(slots=True, eq=False)
class Replica:
    """A replica as the gateway sees it. Times are of the event loop's clock.

    Args:
        address: its URL.
        upstream: the way to it.
        ejection: when failures count as too many.
        outstanding: requests that it has now.
        healthy: what its last health check said; None before the first.
        failures: failures in a row.
        ejections: ejections in a row; each lasts twice as long as the one before.
        ejected_until: when the present ejection ends.
        unreachable: whether the present ejection is because it could not be reached.
        leaving: whether it is being removed; it gets no new requests.
        answered: requests that it answered since the start.
        failed: requests that failed on it since the start.
    """

    address: str
    upstream: Upstream
    ejection: Ejection
    outstanding: int = 0
    healthy: bool | None = None
    failures: int = 0
    ejections: int = 0
    ejected_until: float = 0.0
    unreachable: bool = False
    leaving: bool = False
    answered: int = 0
    failed: int = 0

    def usable(self, now: float) -> bool:
        """Whether it may get a request.

        Args:
            now: the loop's time.
        """
        return self.healthy is not False and now >= self.ejected_until and not self.leaving

    def state(self, now: float) -> State:
        """What it is, in a word.

        Args:
            now: the loop's time.
        """
        if self.leaving:
            return "leaving"
        if now < self.ejected_until:
            return "ejected"
        return "unknown" if self.healthy is None else "ready" if self.healthy else "unhealthy"

    def succeeded(self) -> None:
        """Counts an answer, which ends a row of failures."""
        self.answered += 1
        self.failures = 0
        self.ejections = 0

    def has_failed(self, now: float, *, unreachable: bool) -> bool:
        """Counts a failure.

        Args:
            now: the loop's time.
            unreachable: whether it could not be reached at all, which is enough to leave it alone.

        Returns:
            Whether it is ejected by this.
        """
        self.failed += 1
        self.failures += 1
        if now < self.ejected_until or not (unreachable or self.failures >= self.ejection.failures):
            return False
        pause = min(self.ejection.base_s * 2.0**self.ejections, self.ejection.max_s)
        # Gateways that noticed together must not come back together.
        self.ejected_until = now + pause * random.uniform(0.8, 1.0)  # noqa: S311 - not for secrecy
        self.ejections += 1
        self.unreachable = unreachable
        return True

    def checked(self, healthy: bool) -> None:
        """Takes the answer of a health check.

        A good one ends the ejection of a replica that could not be reached. One whose requests fail stays ejected: that
        it says it is well does not mend them.

        Args:
            healthy: what it said.
        """
        self.healthy = healthy
        if healthy and self.unreachable:
            self.unreachable = False
            self.ejected_until = 0.0
            self.failures = 0
