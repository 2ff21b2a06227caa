"""What a build takes that not every machine has: room on the disk, and wheels that a mirror has."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import dagger
from dagger import dag

from cowabungaai.catalog import ServiceSpec
from cowabungaai.errors import CannotBuildError
from cowabungaai.wheels import BUILD_IMAGE

FREE = "import shutil; print(shutil.disk_usage('/').free // 1_000_000)"
# What programs say, pip and those that write files, where the machine or its mirror lacks something.
SIGNS = ("No space left on device", "No matching distribution found for")


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
            f"{spec.name} ({flavor}) takes {needed / 1000:.0f} GB on the engine's disk while it is built "
            f"(image.room_mb in services/{spec.name}/service.yaml); {free / 1000:.0f} GB are free"
        )


@contextmanager
def naming_what_lacks(name: str, flavor: str) -> Iterator[None]:
    """Tells failures for which the machine is to blame from others.

    Args:
        name: What is built.
        flavor: cpu or gpu.

    Raises:
        CannotBuildError: A program failed for lack of room, or of a wheel; others stay as they are.
    """
    try:
        yield
    except dagger.ExecError as error:
        lines = f"{error.stderr}\n{error.stdout}".splitlines()
        reason = next((line.strip() for line in lines if any(sign in line for sign in SIGNS)), None)
        if reason is None:
            raise
        raise CannotBuildError(f"{name} ({flavor}) cannot be built here: {reason}") from error
