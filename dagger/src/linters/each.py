# SPDX-License-Identifier: Apache-2.0
"""Runs a program with all files of some names as its last arguments: `each.py PATTERN... -- PROGRAM ARGUMENT...`.

Where there is no such file nothing runs, and nothing is wrong.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path


def matching(root: Path, patterns: Iterable[str]) -> list[str]:
    """Paths below a folder, sorted.

    Args:
        root: The folder.
        patterns: As of pathlib's glob.
    """
    return sorted(
        {str(file.relative_to(root)) for pattern in patterns for file in root.glob(pattern) if file.is_file()}
    )


def main(arguments: list[str]) -> int:
    """Run it.

    Returns:
        The program's exit code.
    """
    end = arguments.index("--")
    files = matching(Path(), arguments[:end])
    return subprocess.run([*arguments[end + 1 :], *files], check=False).returncode if files else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
