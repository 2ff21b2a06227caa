# SPDX-License-Identifier: Apache-2.0
"""Comments by which Trivy passes over what it finds: they have no reason and need no date, so they are refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from cowabungaai.errors import ScanError
from cowabungaai.scan_charts import CHART

# Trivy takes words of any line, with marks of a comment before them or not, of pairs with `ignore` among them; here
# it is enough that no other word ends in them.
COMMENT = re.compile(rb"(?<![\w.-])(?:trivy|tfsec):(?:[^ :]*:[^ :]*:)*ignore:[^\s:]")
# Trivy looks for no settings in these, and they may speak of such comments; in a chart they are rendered all the same.
PROSE = (".py", ".pyi", ".go", ".md")
# But with these names before the dot, in any case, Trivy takes every file for one from which an image is built.
BUILDING = ("dockerfile", "containerfile")


def refuse(root: Path) -> None:
    """Refuse files that tell Trivy what to pass over.

    Args:
        root: The folder that is scanned.

    Raises:
        ScanError: There are such; the message has a line for each, with file and line.
    """
    if found := list(_found(root)):
        raise ScanError("\n".join(found))


def _found(root: Path) -> Iterator[str]:
    charts = {chart.parent for chart in root.rglob(CHART)}
    for file in sorted(root.rglob("*")):
        if file.is_symlink() or not file.is_file():
            continue
        if _is_prose(file) and not charts.intersection(file.parents):
            continue
        for number, line in enumerate(file.read_bytes().split(b"\n"), 1):
            if comment := COMMENT.search(line):
                # It may hold bytes that are no UTF-8, and end inside a character.
                told = comment[0].decode(errors="replace")
                yield (
                    f"{file.relative_to(root)}:{number}: {told}...: expected no comment that hides what Trivy finds; "
                    "security/ignore.yaml accepts it, with a reason and a last day"
                )


def _is_prose(file: Path) -> bool:
    return file.suffix in PROSE and file.stem.lower() not in BUILDING
