# SPDX-License-Identifier: Apache-2.0
"""Serves the repeater: `python -m cowabungaai_repeater --port 50051`. Exit status as cowabungaai_sdk.serve's."""

import argparse
import sys

from cowabungaai_repeater.backend import Repeater
from cowabungaai_repeater.config import MAX_DIMENSIONS, RepeaterConfig
from cowabungaai_sdk.serve import run
from cowabungaai_sdk.settings import add_setting, amount, whole


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the repeater's own arguments.

    Args:
        parser: gets them.
    """
    defaults = RepeaterConfig()
    parser.add_argument("--model", action="append", metavar="NAME", help="a name to serve; repeatable; before --models")
    add_setting(parser, "models", _names, ",".join(defaults.models), "names to serve, with commas between them")
    add_setting(parser, "name", str, defaults.name, "tells replicas apart, as system_fingerprint")
    add_setting(parser, "context-length", whole(1), None, "most tokens of prompt and answer; unset: no limit")
    add_setting(
        parser,
        "dimensions",
        whole(1, MAX_DIMENSIONS),
        defaults.dimensions,
        "length of a vector where none is asked for",
    )
    add_setting(parser, "delay-ms", amount("milliseconds"), defaults.delay_s * 1000, "time for a token")
    add_setting(
        parser, "first-delay-ms", amount("milliseconds"), defaults.first_delay_s * 1000, "time before the first token"
    )


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


if __name__ == "__main__":
    sys.exit(run(make_backend, prog="cowabungaai_repeater", add_own=add_arguments))
