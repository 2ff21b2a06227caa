"""Whether every source file of ours begins with its licence, and every distribution names it."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from linters.finding import Finding, tell

LICENCE = "Apache-2.0"
COMMENTS = {".py": "#", ".sh": "#", ".dang": "#", ".go": "//"}
# Programs without an ending in their names.
PROGRAMS = ("cowabunga", ".ci/run")
# Made by protoc, or by its plugins.
GENERATED = "*_pb2*"


def header(file: Path) -> str | None:
    """The line that a file begins with; None where none is asked for."""
    mark = "#" if str(file) in PROGRAMS else COMMENTS.get(file.suffix)
    return f"{mark} SPDX-License-Identifier: {LICENCE}" if mark and not file.match(GENERATED) else None


def findings_of(root: Path) -> Iterator[Finding]:
    """What is missing.

    Args:
        root: Of the repository.
    """
    if not (root / "LICENSE").is_file():
        yield Finding("LICENSE", 1, f"no such file; expected the text of {LICENCE}")
    for path in sorted(root.rglob("*")):
        file = path.relative_to(root)
        expected = header(file) if path.is_file() else None
        if expected:
            lines = path.read_text().splitlines()
            first = 1 if lines and lines[0].startswith("#!") else 0
            if lines and lines[first : first + 1] != [expected]:
                yield Finding(str(file), first + 1, f"expected the line {expected!r}")
        if path.name == "pyproject.toml":
            yield from _distribution(file, path.read_text())


def _distribution(file: Path, text: str) -> Iterator[Finding]:
    project = tomllib.loads(text).get("project")
    if project is not None and project.get("license") != LICENCE:
        line = next((number for number, one in enumerate(text.splitlines(), 1) if one == "[project]"), 1)
        yield Finding(str(file), line, f'expected license = "{LICENCE}" in [project]')


if __name__ == "__main__":
    sys.exit(tell(findings_of(Path())))
