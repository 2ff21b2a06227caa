"""Serves the repeater: `python -m cowabungaai_repeater --port 50051`. Exit status as cowabungaai_sdk.serve's."""

import argparse
import sys

from cowabungaai_repeater.backend import Repeater
from cowabungaai_repeater.config import MAX_DIMENSIONS, RepeaterConfig
from cowabungaai_sdk.serve import add_setting, run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the repeater's own arguments.

    Args:
        parser: gets them.
    """
    defaults = RepeaterConfig()
    parser.add_argument("--model", action="append", metavar="NAME", help="a name to serve; repeatable; before --models")
    add_setting(parser, "models", _names, ",".join(defaults.models), "names to serve, with commas between them")
    add_setting(parser, "name", str, defaults.name, "tells replicas apart, as system_fingerprint")
    add_setting(parser, "context-length", _size, None, "most tokens of prompt and answer; unset: no limit")
    add_setting(parser, "dimensions", _dimensions, defaults.dimensions, "length of a vector where none is asked for")
    add_setting(parser, "delay-ms", _milliseconds, defaults.delay_s * 1000, "time for a token")
    add_setting(parser, "first-delay-ms", _milliseconds, defaults.first_delay_s * 1000, "time before the first token")


def make_backend(arguments: argparse.Namespace) -> Repeater:
    """Makes the repeater as the arguments say.

    Args:
        arguments: parsed arguments.
    """
    return Repeater(
        RepeaterConfig(
            models=tuple(arguments.model or arguments.models),
            name=arguments.name,
            context_length=arguments.context_length,
            dimensions=arguments.dimensions,
            delay_s=arguments.delay_ms / 1000,
            first_delay_s=arguments.first_delay_ms / 1000,
        )
    )


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise argparse.ArgumentTypeError(f"{text!r} has an empty name; expected names with commas between them")
    return names


def _size(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size; expected a whole number from 1")
    return int(text)


def _dimensions(text: str) -> int:
    if (size := _size(text)) > MAX_DIMENSIONS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size; expected 1 to {MAX_DIMENSIONS}")
    return size


def _milliseconds(text: str) -> float:
    try:
        milliseconds = float(text)
    except ValueError:
        milliseconds = -1.0
    if not 0 <= milliseconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no time; expected milliseconds from 0")
    return milliseconds


if __name__ == "__main__":
    sys.exit(run(make_backend, prog="cowabungaai_repeater", add_own=add_arguments))
