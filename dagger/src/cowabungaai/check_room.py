# SPDX-License-Identifier: Apache-2.0
"""Fails where the disk lacks the room that a build takes: `python check_room.py MEGABYTES`.

Needs nothing but Python's standard library: the pipeline runs it in a container, in the command that needs the room.
What the engine has in its cache runs no command, and so needs none.
"""

import shutil
import sys
from pathlib import Path


def lacking(folder: Path, needed_mb: int) -> str | None:
    """What is wrong with the room on a disk.

    Args:
        folder: On that disk.
        needed_mb: The room, in megabytes.

    Returns:
        The system's words for a full disk, and how much it lacks; None where there is enough.
    """
    free = shutil.disk_usage(folder).free
    if free >= needed_mb * 1_000_000:
        return None
    return (
        f"No space left on device: building it takes {needed_mb / 1000:.0f} GB of the engine's disk "
        f"(image.room_mb in its service.yaml), {free / 1e9:.0f} GB are free"
    )


if __name__ == "__main__":
    sys.exit(lacking(Path("/"), int(sys.argv[1])))
