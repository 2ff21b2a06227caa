# SPDX-License-Identifier: Apache-2.0
"""Limits and quotas of callers, with the real tables of usage."""

import asyncio
import math
from collections.abc import AsyncIterator

import pytest

from cowabungaai_api.auth import schema
from cowabungaai_api.auth.account import Counts
from cowabungaai_api.auth.db import Database
from cowabungaai_api.auth.errors import DatabaseError, QuotaExceededError, RateLimitedError
from cowabungaai_api.auth.limits import RateLimiter
from cowabungaai_api.auth.principal import Limits, Principal
from cowabungaai_api.auth.usage import UsageTable

pytestmark = pytest.mark.anyio


class Time:
    """Both clocks, moved together."""

    def __init__(self) -> None:
        self.wall = 1769900400.0
        """2026-01-31 at 23:00."""
        self.ns = 5

    def move(self, seconds: float) -> None:
        """Moves both."""
        self.wall += seconds
        self.ns += math.ceil(seconds * 1_000_000_000)

    def limiter(self, db: Database, max_accounts: int = 100) -> RateLimiter:
        """A replica's limiter."""
        return RateLimiter(UsageTable(db), lambda: self.ns, lambda: self.wall, max_accounts)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def limiter(db: Database, time: Time) -> RateLimiter:
    return time.limiter(db)


def caller(id: str = "key_1", **limits: int) -> Principal:
    return Principal(id, id, "api_key", frozenset({"inference"}), limits=Limits(**limits))


async def test_requests_per_minute(limiter: RateLimiter, time: Time) -> None:
    who = caller(requests_per_minute=3)
    for _ in range(3):
        limiter.acquire(who).settle(0)
    with pytest.raises(RateLimitedError, match="3 requests per minute") as caught:
        limiter.acquire(who)
    assert (caught.value.kind, caught.value.retry_after_s) == ("requests", 20.0)
    time.move(19.999)
    with pytest.raises(RateLimitedError):
        limiter.acquire(who)
    time.move(0.001)
    limiter.acquire(who)


async def test_tokens_per_minute_are_settled(limiter: RateLimiter, time: Time) -> None:
    who = caller(tokens_per_minute=600)
    grant = limiter.acquire(who, 600)
    with pytest.raises(RateLimitedError, match="600 tokens per minute, and the request may use 1") as caught:
        limiter.acquire(who, 1)
    assert caught.value.kind == "tokens"
    grant.settle(100)
    limiter.acquire(who, 500).settle(700)
    with pytest.raises(RateLimitedError) as caught:
        limiter.acquire(who, 10)
    assert caught.value.retry_after_s == 21.0
    time.move(21.0)
    limiter.acquire(who, 10)


async def test_a_request_that_never_fits_is_not_told_to_wait(limiter: RateLimiter) -> None:
    with pytest.raises(RateLimitedError, match="too large: it may use 11 tokens") as caught:
        limiter.acquire(caller(tokens_per_minute=10), 11)
    assert caught.value.retry_after_s is None


async def test_a_refused_request_costs_nothing(limiter: RateLimiter) -> None:
    who = caller(requests_per_minute=2, tokens_per_minute=10, tokens_per_day=10)
    for _ in range(5):
        with pytest.raises(RateLimitedError):
            limiter.acquire(who, 11)
    limiter.acquire(who, 10).settle(0)
    limiter.acquire(who, 10).settle(0)
    assert limiter.usage(who)[0] == Counts(2, 0)


async def test_callers_do_not_share(limiter: RateLimiter) -> None:
    limiter.acquire(caller("key_1", requests_per_minute=1))
    limiter.acquire(caller("key_2", requests_per_minute=1))


async def test_other_limits_hold_at_once(limiter: RateLimiter) -> None:
    limiter.acquire(caller(requests_per_minute=1))
    limiter.acquire(caller(requests_per_minute=2))
    with pytest.raises(RateLimitedError):
        limiter.acquire(caller(requests_per_minute=2))
    assert limiter.acquire(caller()).headers() == []


async def test_headers_tell_only_of_limits_that_there_are(limiter: RateLimiter, time: Time) -> None:
    grant = limiter.acquire(caller(requests_per_minute=60), 5)
    assert grant.headers() == [
        (b"x-ratelimit-limit-requests", b"60"),
        (b"x-ratelimit-remaining-requests", b"59"),
        (b"x-ratelimit-reset-requests", b"1s"),
    ]
    grant = limiter.acquire(caller("key_2", tokens_per_minute=1000), 1000)
    time.move(0.5)
    assert grant.headers() == [
        (b"x-ratelimit-limit-tokens", b"1000"),
        (b"x-ratelimit-remaining-tokens", b"8"),
        (b"x-ratelimit-reset-tokens", b"59.5s"),
    ]
    assert limiter.acquire(caller("key_3", tokens_per_day=10), 1).headers() == []


async def test_a_refusal_has_the_headers_too(limiter: RateLimiter) -> None:
    limiter.acquire(caller(requests_per_minute=1))
    with pytest.raises(RateLimitedError) as caught:
        limiter.acquire(caller(requests_per_minute=1))
    assert (b"x-ratelimit-remaining-requests", b"0") in caught.value.headers


@pytest.mark.parametrize(
    ("kind", "seconds"), [("requests_per_day", 3600), ("tokens_per_day", 3600), ("tokens_per_month", 3600)]
)
async def test_quotas_end_with_their_period(limiter: RateLimiter, time: Time, kind: str, seconds: int) -> None:
    who = Principal("key_1", "first", "api_key", frozenset(), limits=Limits(**{kind: 2}))
    for _ in range(2):
        limiter.acquire(who, 1).settle(1)
    with pytest.raises(QuotaExceededError, match=f"2 {kind.replace('_', ' ')}") as caught:
        limiter.acquire(who, 1)
    assert (caught.value.kind, caught.value.retry_after_s, caught.value.code) == (kind, seconds, "insufficient_quota")
    time.move(seconds)
    limiter.acquire(who, 1)


async def test_a_month_goes_over_days(limiter: RateLimiter, time: Time) -> None:
    time.move(3600)
    who = caller(tokens_per_month=10, tokens_per_day=9)
    limiter.acquire(who, 9).settle(9)
    time.move(24 * 3600)
    limiter.acquire(who, 1).settle(1)
    with pytest.raises(QuotaExceededError, match="10 tokens per month") as caught:
        limiter.acquire(who, 1)
    assert caught.value.retry_after_s == 27 * 24 * 3600


async def test_requests_in_flight_count(limiter: RateLimiter) -> None:
    who = caller(tokens_per_day=10)
    grant = limiter.acquire(who, 8)
    with pytest.raises(QuotaExceededError):
        limiter.acquire(who, 3)
    grant.settle(2)
    limiter.acquire(who, 8)


async def test_settling_again_corrects(limiter: RateLimiter) -> None:
    who = caller(tokens_per_minute=100)
    grant = limiter.acquire(who, 50)
    grant.settle(30)
    grant.settle(40)
    grant.settle(40)
    assert limiter.usage(who)[0] == Counts(1, 40)
    assert dict(grant.headers())[b"x-ratelimit-remaining-tokens"] == b"60"


async def test_usage_outlives_a_replica(db: Database, time: Time) -> None:
    who = caller(tokens_per_day=10)
    first = time.limiter(db)
    first.acquire(who, 7).settle(7)
    await first.flush()
    second = time.limiter(db)
    await second.prepare(who)
    assert second.usage(who) == (Counts(1, 7), Counts(1, 7))
    with pytest.raises(QuotaExceededError):
        second.acquire(who, 4)


async def test_replicas_add_up(db: Database, time: Time) -> None:
    who = caller(tokens_per_day=10)
    replicas = [time.limiter(db) for _ in range(3)]
    for replica in replicas:
        replica.acquire(who, 3).settle(3)
    for replica in [*replicas, replicas[0]]:
        replica.acquire(caller("other")).settle(1)
        await replica.flush()
    replicas[0].acquire(who).settle(0)
    await replicas[0].flush()
    assert replicas[0].usage(who)[0] == Counts(4, 9)
    with pytest.raises(QuotaExceededError):
        replicas[0].acquire(who, 2)


async def test_what_comes_during_a_flush_is_kept(db: Database, time: Time, limiter: RateLimiter) -> None:
    who = caller()
    limiter.acquire(who).settle(1)
    flushing = limiter.flush()
    # The first step of a flush takes what there is and waits for the database.
    task = asyncio.create_task(flushing)
    await asyncio.sleep(0)
    limiter.acquire(who).settle(10)
    await task
    assert limiter.usage(who) == (Counts(2, 11), Counts(2, 11))
    await limiter.flush()
    assert (await UsageTable(db).read([who.id], ["2026-01-31"]))[who.id, "2026-01-31"] == Counts(2, 11)


async def test_a_day_that_ends_is_written_to_itself(db: Database, time: Time, limiter: RateLimiter) -> None:
    who = caller()
    limiter.acquire(who).settle(5)
    time.move(3600)
    limiter.acquire(who).settle(7)
    await limiter.flush()
    totals = await UsageTable(db).read([who.id], ["2026-01-31", "2026-01", "2026-02-01", "2026-02"])
    assert {period: count for (_, period), count in totals.items()} == {
        "2026-01-31": Counts(1, 5),
        "2026-01": Counts(1, 5),
        "2026-02-01": Counts(1, 7),
        "2026-02": Counts(1, 7),
    }


@pytest.mark.parametrize("flushed_first", [True, False])
async def test_a_day_ends_also_for_those_who_ask_nothing(
    db: Database, time: Time, limiter: RateLimiter, flushed_first: bool
) -> None:
    who = caller()
    limiter.acquire(who).settle(5)
    time.move(3600)
    if flushed_first:
        await limiter.flush()
    assert limiter.usage(who) == (Counts(), Counts())
    await limiter.flush()
    totals = await UsageTable(db).read([who.id], ["2026-01-31", "2026-02-01"])
    assert totals == {(who.id, "2026-01-31"): Counts(1, 5)}


async def test_a_day_may_end_while_usage_is_read(db: Database, time: Time, limiter: RateLimiter) -> None:
    who = caller()
    await UsageTable(db).add({(who.id, "2026-01-31"): Counts(1, 5), (who.id, "2026-02-01"): Counts(2, 7)})
    task = asyncio.create_task(limiter.prepare(who))
    await asyncio.sleep(0)
    time.move(3600)
    limiter.acquire(who).settle(10)
    await task
    await limiter.prepare(who)
    assert limiter.usage(who) == (Counts(3, 17), Counts(3, 17))


async def test_a_day_may_end_during_a_flush(db: Database, time: Time, limiter: RateLimiter) -> None:
    who = caller()
    limiter.acquire(who).settle(5)
    task = asyncio.create_task(limiter.flush())
    await asyncio.sleep(0)
    time.move(3600)
    limiter.acquire(who).settle(7)
    await task
    assert limiter.usage(who) == (Counts(1, 7), Counts(1, 7))
    await limiter.flush()
    totals = await UsageTable(db).read([who.id], ["2026-01-31", "2026-02-01"])
    assert [totals[who.id, day] for day in ("2026-01-31", "2026-02-01")] == [Counts(1, 5), Counts(1, 7)]


async def test_nothing_is_lost_while_the_database_fails(db: Database, time: Time, limiter: RateLimiter) -> None:
    who = caller()
    await schema.downgrade(db, "base")
    for _ in range(2):
        limiter.acquire(who).settle(3)
        with pytest.raises(DatabaseError):
            await limiter.flush()
    time.move(3600)
    limiter.acquire(who).settle(4)
    with pytest.raises(DatabaseError):
        await limiter.flush()
    await schema.upgrade(db)
    other = time.limiter(db)
    other.acquire(who).settle(100)
    await other.flush()
    await limiter.flush()
    assert limiter.usage(who)[0] == Counts(2, 104)
    totals = await UsageTable(db).read([who.id], ["2026-01"])
    assert totals[who.id, "2026-01"] == Counts(2, 6)


async def test_a_caller_who_comes_while_the_database_fails_is_read_later(db: Database, time: Time) -> None:
    who = caller()
    first = time.limiter(db)
    first.acquire(who).settle(7)
    await first.flush()
    second = time.limiter(db)
    second.usage(who)
    second.acquire(caller("other")).settle(1)
    await second.flush()
    assert second.usage(who)[0] == Counts(1, 7)


async def test_what_is_not_written_counts_for_those_that_are_read_anew(db: Database, time: Time) -> None:
    limiter = time.limiter(db, max_accounts=1)
    who = caller()
    limiter.acquire(who).settle(5)
    limiter.acquire(caller("other")).settle(1)
    assert limiter.usage(who)[0] == Counts()
    await limiter.prepare(who)
    assert limiter.usage(who) == (Counts(1, 5), Counts(1, 5))


async def test_idle_callers_are_forgotten_and_busy_ones_are_not(db: Database, time: Time) -> None:
    limiter = time.limiter(db, max_accounts=3)
    busy = caller("busy", requests_per_minute=1)
    grant = limiter.acquire(busy)
    for number in range(50):
        limiter.acquire(caller(f"key_{number}")).settle(1)
    with pytest.raises(RateLimitedError):
        limiter.acquire(busy)
    grant.settle(9)
    assert len(limiter._accounts) == 3
    await limiter.flush()
    totals = await UsageTable(db).read([f"key_{number}" for number in range(50)] + ["busy"], ["2026-01"])
    assert len(totals) == 51
    assert totals["busy", "2026-01"] == Counts(1, 9)


async def test_old_usage_is_deleted(db: Database) -> None:
    table = UsageTable(db)
    await table.add({("a", "2025-01-31"): Counts(1, 1), ("a", "2025-02-01"): Counts(2, 2)})
    await table.forget_before("2025-02-15")
    assert await table.read(["a"], ["2025-01-31", "2025-01", "2025-02-01", "2025-02"]) == {
        ("a", "2025-02-01"): Counts(2, 2),
        ("a", "2025-02"): Counts(2, 2),
    }


async def test_many_callers_are_written_at_once(db: Database) -> None:
    counts = {(f"key_{number}", "2026-01-31"): Counts(1, number) for number in range(1200)}
    totals = await UsageTable(db).add(counts)
    assert len(totals) == 2400
    assert await UsageTable(db).read([id for id, _ in counts], ["2026-01-31", "2026-01"]) == totals


@pytest.fixture
async def second_db(database_url: str) -> AsyncIterator[Database]:
    found = Database(database_url)
    yield found
    await found.close()


async def test_replicas_may_write_at_once(db: Database, second_db: Database, time: Time) -> None:
    counts = {(f"key_{number}", "2026-01-31"): Counts(1, 1) for number in range(100)}
    backwards = dict(reversed(counts.items()))
    tables = [UsageTable(db), UsageTable(second_db)]
    await asyncio.gather(
        *(table.add(some) for _ in range(5) for table, some in zip(tables, (counts, backwards), strict=True))
    )
    totals = await tables[0].read(["key_0", "key_99"], ["2026-01"])
    assert list(totals.values()) == [Counts(10, 10), Counts(10, 10)]
