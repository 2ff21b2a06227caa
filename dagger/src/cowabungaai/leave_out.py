# SPDX-License-Identifier: Apache-2.0
"""Removes what an image does not need of installed packages: `python leave_out.py FOLDER GLOB...`.

Needs nothing but Python's standard library: the pipeline runs it in a container. What is gone is also taken out of the
packages' own lists of their files: those have checksums, and of some files these differ with each compilation.
"""

import csv
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path


def leave_out(folder: Path, globs: Sequence[str]) -> list[str]:
    """Remove files and folders.

    Args:
        folder: Where packages are installed.
        globs: Of paths below it, such as `numpy/**/tests`.

    Returns:
        The globs that match nothing.
    """
    idle = []
    for pattern in globs:
        found = list(folder.glob(pattern))
        for path in found:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.is_symlink() or path.exists():
                path.unlink()
        if not found:
            idle.append(pattern)
    for record in folder.glob("*.dist-info/RECORD"):
        with record.open(newline="") as source:
            rows = [row for row in csv.reader(source) if (folder / row[0]).exists()]
        with record.open("w", newline="") as sink:
            csv.writer(sink, lineterminator="\n").writerows(rows)
    return idle


if __name__ == "__main__":
    for pattern in leave_out(Path(sys.argv[1]), sys.argv[2:]):
        print(f"left_out: nothing is at {pattern}", file=sys.stderr)
