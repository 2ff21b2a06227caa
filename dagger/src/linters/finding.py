# SPDX-License-Identifier: Apache-2.0
"""What a check found, and where."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Finding:
    """A mistake in a file.

    Attributes:
        file: Its path below the root of the repository.
        line: From 1.
        message: What is wrong.
    """

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


def tell(findings: Iterable[Finding]) -> int:
    """Print what was found, each once, in the order of files and lines.

    Returns:
        The program's exit code: 1 where there is something.
    """
    ordered = sorted(set(findings))
    for finding in ordered:
        print(finding)
    return 1 if ordered else 0
