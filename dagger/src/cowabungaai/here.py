# SPDX-License-Identifier: Apache-2.0
"""What a build takes that not every machine has: room on the disk, and wheels that a mirror has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import dagger

from cowabungaai.catalog import ServiceSpec
from cowabungaai.errors import CannotBuildError

FULL = "No space left on device"
# What uv says where a mirror answers, but lacks a package's version or wheel; pip, where it knows other versions. A
# mirror that knows none may be one that is not reached.
NO_WHEEL = re.compile(
    r"Because there is no version of |has no usable wheels|has no wheels with a matching"
    r"|Could not find a version that satisfies .*\(from versions: (?!none)"
)


@contextmanager
def naming_what_lacks(spec: ServiceSpec, flavor: str) -> Iterator[None]:
    """Tells failures for which the machine is to blame from others.

    A disk that is full is one of them for services alone that say how much room they take: others would be left out
    because of those.

    Args:
        spec: What is built.
        flavor: cpu or gpu.

    Raises:
        CannotBuildError: A program failed for lack of room, or of a wheel; others stay as they are.
    """
    try:
        yield
    except dagger.ExecError as error:
        lines = [line.strip() for line in f"{error.stderr}\n{error.stdout}".splitlines()]
        reason = next((line for line in lines if _lacks(line, spec, flavor)), None)
        if reason is None:
            raise
        raise CannotBuildError(f"{spec.name} ({flavor}) cannot be built here: {reason}") from error


def _lacks(line: str, spec: ServiceSpec, flavor: str) -> bool:
    full = FULL in line and flavor == "gpu" and spec.image.room_mb is not None
    return full or NO_WHEEL.search(line) is not None
