"""How a worker is asked: a JSON object a line on standard input, and one for each on standard output."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping


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
