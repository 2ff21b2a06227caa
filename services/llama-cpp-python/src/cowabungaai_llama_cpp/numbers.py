# SPDX-License-Identifier: Apache-2.0
"""Whole numbers between limits as GBNF."""

MAX_DIGITS = 16
"""How long whole numbers without a limit get."""


def integer_rule(low: int | None, high: int | None) -> str:
    """What matches exactly the whole numbers from low to high, without leading zeros.

    Args:
        low: the least; None means no limit.
        high: the greatest; None means no limit.
    """
    top = 10**MAX_DIGITS - 1
    low = -top if low is None else low
    high = top if high is None else high
    parts = []
    if low < 0:
        # Their absolute values, the other way round.
        parts += (
            [f'"-" {part}' for part in _between(max(1, -high), -low)]
            if high < 0
            else [f'"-" {part}' for part in _between(1, -low)]
        )
    if high >= 0:
        parts += _between(max(0, low), high)
    return " | ".join(parts)


def _between(low: int, high: int) -> list[str]:
    """Alternatives for the numbers from low to high, both 0 or more, one or more for each count of digits."""
    parts: list[str] = []
    while low <= high:
        last = min(high, 10 ** len(str(low)) - 1)
        parts += _same_length(str(low), str(last))
        low = last + 1
    return parts


def _same_length(low: str, high: str) -> list[str]:
    """Alternatives for the numbers between two that have as many digits."""
    if not low:
        return ['""']
    if low == high:
        return [f'"{low}"']
    rest = len(low) - 1
    if low[1:] == "0" * rest and high[1:] == "9" * rest:
        return [_digit(low[0], high[0]) + (f" [0-9]{{{rest}}}" if rest else "")]
    if low[0] == high[0]:
        return [f'"{low[0]}" ({" | ".join(_same_length(low[1:], high[1:]))})']
    parts = [f'"{low[0]}" ({" | ".join(_same_length(low[1:], "9" * rest))})']
    middle = (chr(ord(low[0]) + 1), chr(ord(high[0]) - 1))
    if middle[0] <= middle[1]:
        parts.append(f"{_digit(*middle)} [0-9]{{{rest}}}")
    parts.append(f'"{high[0]}" ({" | ".join(_same_length("0" * rest, high[1:]))})')
    return parts


def _digit(low: str, high: str) -> str:
    return f"[{low}-{high}]" if low != high else f'"{low}"'
