# SPDX-License-Identifier: Apache-2.0
"""How a worker is asked: a JSON object a line on standard input, and one for each on standard output."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sized


def serve(scenarios: Mapping[str, Callable[..., float]]) -> None:
    """Runs scenarios until standard input ends; says first that it is ready.

    Args:
        scenarios: By name; each takes the arguments of its line, and returns how much was done a second.
    """
    # Libraries may print; only answers go where answers are read.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    print(json.dumps({"ready": True}), file=answers)
    for line in sys.stdin:
        asked = json.loads(line)
        rate = scenarios[asked["scenario"]](**asked["arguments"])
        print(json.dumps({"rate": rate}), file=answers)


def one_after_the_other(embed: Callable[[list[str]], Sized]) -> Callable[..., float]:
    """The scenario `embed` for a library that has no callers beside each other.

    Args:
        embed: Makes the vectors of a batch of texts.

    Returns:
        The scenario; it returns the texts that were embedded a second.
    """

    def scenario(texts: list[str], clients: int, batch: int) -> float:
        begun = time.perf_counter()
        for number in range(clients):
            own = texts[number::clients]
            for start in range(0, len(own), batch):
                part = own[start : start + batch]
                assert len(embed(part)) == len(part)
        return len(texts) / (time.perf_counter() - begun)

    return scenario
