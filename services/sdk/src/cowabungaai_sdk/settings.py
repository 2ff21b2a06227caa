# SPDX-License-Identifier: Apache-2.0
"""Settings of a command line that have an environment variable each, and what reads their values."""

import argparse
import math
import os
from collections.abc import Callable, Sequence


def add_setting(
    parser: argparse.ArgumentParser,
    name: str,
    kind: Callable[[str], object],
    default: object,
    text: str,
) -> None:
    """Adds an argument that has an environment variable too: `--max-queue` and COWABUNGAAI_MAX_QUEUE.

    Args:
        parser: gets the argument.
        name: its name without dashes in front.
        kind: reads a value; raises argparse.ArgumentTypeError where it is wrong.
        default: the value where neither is given; None means unset.
        text: what it is, for the help.
    """
    variable = f"COWABUNGAAI_{name.upper().replace('-', '_')}"
    value = os.environ.get(variable) or (None if default is None else str(default))
    shown = "" if default is None else f"; default: {default}"
    parser.add_argument(
        f"--{name}",
        # argparse sends string defaults through `type`: a bad environment variable is refused like an argument.
        type=kind,
        default=value,
        metavar="VALUE",
        help=f"{text} ({variable}{shown})",
    )


def boolean(text: str) -> bool:
    """Reads true or false, for add_setting.

    Args:
        text: either, in the ways that people write them.

    Raises:
        argparse.ArgumentTypeError: it is neither.
    """
    values = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if text.lower() not in values:
        raise argparse.ArgumentTypeError(f"got {text!r}; expected true or false")
    return values[text.lower()]


def whole(least: int = 0, most: int | None = None) -> Callable[[str], int]:
    """What reads a whole number, for add_setting.

    Args:
        least: the least that is taken.
        most: the most; None means any.

    Returns:
        The reader; it raises argparse.ArgumentTypeError for anything else.
    """
    expected = f"a whole number from {least}" + ("" if most is None else f" to {most}")

    def read(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= (math.inf if most is None else most):
            raise argparse.ArgumentTypeError(f"got {text!r}; expected {expected}")
        return int(text)

    return read


def amount(unit: str, *, positive: bool = False) -> Callable[[str], float]:
    """What reads a finite number of something, for add_setting.

    Args:
        unit: what it counts, such as seconds.
        positive: whether 0 is refused.

    Returns:
        The reader; it raises argparse.ArgumentTypeError for anything else.
    """
    expected = f"{unit}, more than 0" if positive else f"{unit} from 0"

    def read(text: str) -> float:
        try:
            found = float(text)
        except ValueError:
            found = -1.0
        if not 0 <= found < math.inf or (positive and not found):
            raise argparse.ArgumentTypeError(f"got {text!r}; expected {expected}")
        return found

    return read


def one_of(known: Sequence[str]) -> Callable[[str], str]:
    """What reads one of several words, for add_setting.

    Args:
        known: the words.

    Returns:
        The reader; it raises argparse.ArgumentTypeError for anything else.
    """

    def read(text: str) -> str:
        if text not in known:
            raise argparse.ArgumentTypeError(f"got {text!r}; expected one of {', '.join(known)}")
        return text

    return read
