# SPDX-License-Identifier: Apache-2.0
"""Relative links and anchors of Markdown documents, by lychee without a network."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from linters.finding import Finding, tell

DOCUMENTS = "**/*.md"


def findings_of(report: dict[str, Any], root: Path) -> Iterator[Finding]:
    """What lychee found.

    Args:
        report: Its JSON.
        root: Of the repository.
    """
    for file, links in report["error_map"].items():
        for link in links:
            target = unquote(link["url"]).replace(f"file://{root}/", "")
            yield Finding(file, link["span"]["line"], f"{target}: {link['status']['text']}")


def main() -> int:
    """Follow the links of all documents.

    Returns:
        The exit code: 1 where one leads nowhere.
    """
    root = Path().absolute()
    options = ["--offline", "--include-fragments", "--no-progress", "--no-ignore", "--hidden", "--format=json"]
    command = ["lychee", *options, f"--root-dir={root}", DOCUMENTS]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        report = json.loads(finished.stdout)
    except ValueError:
        print(finished.stdout + finished.stderr)
        return finished.returncode or 1
    return tell(findings_of(report, root))


if __name__ == "__main__":
    sys.exit(main())
