# SPDX-License-Identifier: Apache-2.0
"""Calendar days and months in UTC, by which quotas count."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True, slots=True)
class Periods:
    """The day and the month of a moment.

    Args:
        day: such as `2026-01-31`.
        month: such as `2026-01`.
        day_ends: in seconds since 1970.
        month_ends: in seconds since 1970.
    """

    day: str
    month: str
    day_ends: float
    month_ends: float

    @classmethod
    def at(cls, now: float) -> "Periods":
        """Those of a moment.

        Args:
            now: the moment, in seconds since 1970.
        """
        today = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        # Every month has a 28th, and four days later it is the next one.
        next_month = (today.replace(day=28) + timedelta(days=4)).replace(day=1)
        tomorrow = today + timedelta(days=1)
        day = today.date().isoformat()
        return cls(day, day[:7], tomorrow.timestamp(), next_month.timestamp())


def day_before(now: float, days: int) -> str:
    """The day that was some days ago.

    Args:
        now: the moment, in seconds since 1970.
        days: how many.
    """
    return (datetime.fromtimestamp(now, UTC) - timedelta(days=days)).date().isoformat()


def duration(nanoseconds: int) -> str:
    """Writes a duration as OpenAI's headers do: `120ms`, `1s`, `6m0s`, `1h0m0.5s`; rounded up to milliseconds.

    Args:
        nanoseconds: how long.
    """
    milliseconds = -(-nanoseconds // 1_000_000)
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{rest // 1000}.{rest % 1000:03}".rstrip("0").rstrip(".")
    if hours:
        return f"{hours}h{minutes}m{seconds}s"
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"
