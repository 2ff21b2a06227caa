# SPDX-License-Identifier: Apache-2.0
"""What one caller used: buckets for the minute, counts for the day and the month."""

from dataclasses import dataclass

from cowabungaai_api.auth.bucket import TokenBucket
from cowabungaai_api.auth.errors import QuotaExceededError, RateLimitedError
from cowabungaai_api.auth.periods import Periods, duration
from cowabungaai_api.auth.principal import Limits

NS_PER_S = 1_000_000_000
REQUEST_HEADERS = (b"x-ratelimit-limit-requests", b"x-ratelimit-remaining-requests", b"x-ratelimit-reset-requests")
TOKEN_HEADERS = (b"x-ratelimit-limit-tokens", b"x-ratelimit-remaining-tokens", b"x-ratelimit-reset-tokens")


@dataclass(slots=True)
class Counts:
    """What was used of something, in all replicas as far as is known."""

    requests: int = 0
    tokens: int = 0

    def add(self, other: "Counts") -> None:
        """Counts another one in.

        Args:
            other: the other.
        """
        self.requests += other.requests
        self.tokens += other.tokens


class Account:
    """One caller's use.

    Args:
        id: the principal's.
        limits: what holds for it.
        now: the time, as for buckets.
    """

    __slots__ = (
        "day",
        "has_quotas",
        "id",
        "in_flight",
        "limits",
        "loaded",
        "month",
        "new",
        "requests",
        "reserved",
        "tokens",
    )

    def __init__(self, id: str, limits: Limits, now: int) -> None:
        self.id = id
        self.requests: TokenBucket | None = None
        self.tokens: TokenBucket | None = None
        self.set_limits(limits, now)
        self.day = Counts()
        self.month = Counts()
        self.new = Counts()
        """What `day` and `month` lack."""
        self.reserved = 0
        """Tokens that requests in flight may use."""
        self.in_flight = 0
        self.loaded = False
        """Whether `day` and `month` came from the database."""

    def set_limits(self, limits: Limits, now: int) -> None:
        """Makes other limits hold.

        Args:
            limits: the new ones.
            now: the time.
        """
        self.limits = limits
        quotas = (limits.requests_per_day, limits.tokens_per_day, limits.tokens_per_month)
        self.has_quotas = any(limit is not None for limit in quotas)
        self.requests = _bucket(self.requests, limits.requests_per_minute, now)
        self.tokens = _bucket(self.tokens, limits.tokens_per_minute, now)

    def check_rates(self, tokens: int, now: int) -> None:
        """Checks the limits of the minute.

        Args:
            tokens: how many the request may use.
            now: the time.

        Raises:
            RateLimitedError: one is reached.
        """
        if self.requests is not None and (wait := self.requests.wait(1, now)):
            limit = f"{self.requests.limit} requests per minute"
            raise self._limited(
                f"Rate limit reached: {limit}. Please try again in {duration(wait)}.", "requests", wait, now
            )
        if self.tokens is None:
            return
        limit = f"{self.tokens.limit} tokens per minute"
        if tokens > self.tokens.limit:
            message = (
                f"Request too large: it may use {tokens} tokens, and the limit is {limit}. Shorten it or ask for less."
            )
            raise self._limited(message, "tokens", None, now)
        if wait := self.tokens.wait(tokens, now):
            message = f"Rate limit reached: {limit}, and the request may use {tokens}."
            raise self._limited(f"{message} Please try again in {duration(wait)}.", "tokens", wait, now)

    def _limited(self, message: str, kind: str, wait: int | None, now: int) -> RateLimitedError:
        headers = tuple(self.headers(now))
        return RateLimitedError(message, kind, None if wait is None else wait / NS_PER_S, headers)

    def check_quotas(self, tokens: int, periods: Periods, wall: float) -> None:
        """Checks the limits of the day and the month.

        Args:
            tokens: how many the request may use.
            periods: today's.
            wall: the time, in seconds since 1970.

        Raises:
            QuotaExceededError: one is reached.
        """
        limits, new = self.limits, self.new
        asked = new.tokens + self.reserved + tokens
        checks = (
            ("requests_per_day", limits.requests_per_day, self.day.requests + new.requests + 1, periods.day_ends),
            ("tokens_per_day", limits.tokens_per_day, self.day.tokens + asked, periods.day_ends),
            ("tokens_per_month", limits.tokens_per_month, self.month.tokens + asked, periods.month_ends),
        )
        for kind, limit, wanted, ends in checks:
            if limit is not None and wanted > limit:
                what = kind.replace("_", " ")
                message = f"Quota reached: {limit} {what}, and with this request it would be {wanted}."
                raise QuotaExceededError(f"{message} It begins anew in {ends - wall:.0f} s.", kind, ends - wall)

    def headers(self, now: int) -> list[tuple[bytes, bytes]]:
        """OpenAI's headers about the limits of the minute that there are.

        Args:
            now: the time.
        """
        found: list[tuple[bytes, bytes]] = []
        for names, bucket in ((REQUEST_HEADERS, self.requests), (TOKEN_HEADERS, self.tokens)):
            if bucket is not None:
                values = (bucket.limit, bucket.remaining(now), duration(bucket.fills_in(now)))
                found += zip(names, (str(value).encode() for value in values), strict=True)
        return found

    def collect(self) -> Counts:
        """Makes what is new a part of the day and the month, and returns it for the database."""
        new, self.new = self.new, Counts()
        self.day.add(new)
        self.month.add(new)
        return new


def _bucket(bucket: TokenBucket | None, limit: int | None, now: int) -> TokenBucket | None:
    if limit is None:
        return None
    if bucket is None:
        return TokenBucket(limit, now)
    if bucket.limit != limit:
        bucket.resize(limit, now)
    return bucket
