# SPDX-License-Identifier: Apache-2.0
"""Whether every source file of ours begins with its licence, and every distribution names it."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from linters.finding import Finding, tell

LICENCE = "Apache-2.0"
COMMENTS = {".py": "#", ".sh": "#", ".dang": "#", ".go": "//"}
# Made by protoc, or by its plugins.
GENERATED = "*_pb2*"
# What the engine is made of: a line more makes it anew on every machine, so these get theirs with their next change.
ENGINE = ("toolchain/go/dagger", "toolchain/go/registry", "toolchain/sdk-python")


def header(file: Path, begins: bytes) -> str | None:
    """The line that a file has first, or after the name of the program that runs it; None where none is asked for.

    Args:
        file: Its path below the root of the repository.
        begins: Its first bytes.
    """
    if file.match(GENERATED) or any(file.is_relative_to(folder) for folder in ENGINE):
        return None
    mark = "#" if not file.suffix and begins.startswith(b"#!") else COMMENTS.get(file.suffix)
    return f"{mark} SPDX-License-Identifier: {LICENCE}" if mark else None


def findings_of(root: Path) -> Iterator[Finding]:
    """What is missing.

    Args:
        root: Of the repository.
    """
    if not (root / "LICENSE").is_file():
        yield Finding("LICENSE", 1, f"no such file; expected the text of {LICENCE}")
    for path in sorted(root.rglob("*")):
        if not path.is_file():
            continue
        file, content = path.relative_to(root), path.read_bytes()
        expected = header(file, content[:2])
        if content and expected:
            first = 1 if content.startswith(b"#!") else 0
            if content.decode().splitlines()[first : first + 1] != [expected]:
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
