# SPDX-License-Identifier: Apache-2.0
"""What a build takes that not every machine has: room on the disk, and wheels that a mirror has."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import dagger
from dagger import dag

from cowabungaai.catalog import ServiceSpec
from cowabungaai.errors import CannotBuildError
from cowabungaai.wheels import BUILD_IMAGE

FREE = "import shutil; print(shutil.disk_usage('/').free // 1_000_000)"
FULL = "No space left on device"
# What uv says where a mirror answers, but lacks a package's version or wheel; pip, where it knows other versions. A
# mirror that knows none may be one that is not reached.
NO_WHEEL = re.compile(
    r"Because there is no version of |has no usable wheels|has no wheels with a matching"
    r"|Could not find a version that satisfies .*\(from versions: (?!none)"
)


async def check_room(spec: ServiceSpec, flavor: str) -> None:
    """Refuse a build for which the engine's disk has no room, before it fills the disk.

    Args:
        spec: The service.
        flavor: cpu or gpu.

    Raises:
        CannotBuildError: There is less room than image.room_mb of its service.yaml.
    """
    needed = spec.image.room_mb
    if needed is None or flavor != "gpu":
        return
    # How much is free changes: it is asked anew each time.
    asked = dag.container().from_(BUILD_IMAGE).with_env_variable("ASKED_AT", str(time.time()))
    free = int(await asked.with_exec(["python", "-c", FREE]).stdout())
    if free < needed:
        raise CannotBuildError(
            f"no space left for {spec.name} ({flavor}): building it takes {needed / 1000:.0f} GB of the engine's disk "
            f"(image.room_mb in services/{spec.name}/service.yaml), {free / 1000:.0f} GB are free"
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
