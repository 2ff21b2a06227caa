# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of buckets, periods and durations."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cowabungaai_api.auth.bucket import PERIOD_NS, TokenBucket
from cowabungaai_api.auth.periods import Periods, day_before, duration

LIMITS = st.integers(min_value=1, max_value=10**9)
STEPS = st.lists(
    st.tuples(st.integers(min_value=0, max_value=3 * PERIOD_NS), st.integers(min_value=1, max_value=10**9)),
    min_size=1,
    max_size=60,
)


@given(LIMITS, STEPS)
def test_no_span_sees_more_than_the_limit_and_what_came_back(limit: int, steps: list[tuple[int, int]]) -> None:
    now = 0
    bucket = TokenBucket(limit, now)
    taken: list[tuple[int, int]] = []
    for pause, wish in steps:
        now += pause
        amount = min(wish, limit)
        if not bucket.wait(amount, now):
            bucket.take(amount)
            taken.append((now, amount))
        assert 0 <= bucket.remaining(now) <= limit
    for first, (start, _) in enumerate(taken):
        total = 0
        for end, amount in taken[first:]:
            total += amount
            # In whole numbers: total <= limit * (1 + span / period).
            assert total * PERIOD_NS <= limit * (PERIOD_NS + end - start)


@given(LIMITS, STEPS)
def test_the_wait_is_enough_and_not_a_nanosecond_too_long(limit: int, steps: list[tuple[int, int]]) -> None:
    now = 0
    bucket = TokenBucket(limit, now)
    for pause, wish in steps:
        now += pause % 1000
        amount = min(wish, limit)
        if wait := bucket.wait(amount, now):
            assert bucket.wait(amount, now + wait - 1) == 1
            now += wait
            assert bucket.wait(amount, now) == 0
        bucket.take(amount)


@given(LIMITS, st.integers(min_value=0, max_value=10**10), st.integers(min_value=0, max_value=10**12))
def test_a_debt_is_paid_first(limit: int, debt: int, pause: int) -> None:
    bucket = TokenBucket(limit, 0)
    bucket.take(limit + debt)
    assert bucket.remaining(0) == 0
    assert bucket.wait(1, pause) == max(0, -(-((debt + 1) * PERIOD_NS) // limit) - pause)


@given(LIMITS, st.integers(min_value=0, max_value=10**10))
def test_what_is_given_back_never_overfills(limit: int, amount: int) -> None:
    bucket = TokenBucket(limit, 0)
    bucket.take(-amount)
    assert bucket.remaining(0) == limit
    assert bucket.fills_in(0) == 0


@given(LIMITS, LIMITS, st.integers(min_value=0, max_value=10**9))
def test_another_limit_leaves_used_what_was_used(before: int, after: int, used: int) -> None:
    bucket = TokenBucket(before, 0)
    bucket.take(min(used, before))
    bucket.resize(after, 0)
    assert bucket.remaining(0) == max(0, after - min(used, before))


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0ms"),
        (1, "1ms"),
        (120_000_000, "120ms"),
        (999_000_001, "1s"),
        (1_000_000_000, "1s"),
        (8_640_000_000, "8.64s"),
        (59_999_500_000, "1m0s"),
        (360_000_000_000, "6m0s"),
        (90_951_000_000, "1m30.951s"),
        (3_600_000_000_000, "1h0m0s"),
        (90_061_500_000_000, "25h1m1.5s"),
    ],
)
def test_durations_are_written_as_openai_does(nanoseconds: int, text: str) -> None:
    assert duration(nanoseconds) == text


@given(st.integers(min_value=0, max_value=4 * 10**9))
def test_a_moment_lies_in_its_day_and_month(moment: int) -> None:
    periods = Periods.at(moment)
    assert datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d") == periods.day
    assert periods.day.startswith(periods.month)
    assert moment < periods.day_ends <= periods.month_ends
    assert periods.day_ends - moment <= 86400
    assert Periods.at(periods.day_ends - 1).day == periods.day
    assert Periods.at(periods.day_ends).day > periods.day
    assert Periods.at(periods.month_ends - 1).month == periods.month
    assert Periods.at(periods.month_ends).month > periods.month


def test_days_before_go_over_months() -> None:
    assert day_before(datetime(2026, 3, 1, tzinfo=UTC).timestamp(), 1) == "2026-02-28"
