# SPDX-License-Identifier: Apache-2.0
"""Runs the real tools, and tells what they say where they fail."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

LAST_LINES = 15


class ProofError(Exception):
    """The bundle is not installed, or does not work; the message says what failed, and why."""


def output(*command: str | Path, cwd: Path | None = None, text: str | None = None) -> str:
    """Standard output of a program.

    Args:
        command: Program and arguments.
        cwd: Where it runs.
        text: Its standard input.

    Raises:
        ProofError: It failed.
    """
    words = [str(word) for word in command]
    try:
        ended = subprocess.run(words, cwd=cwd, input=text, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise ProofError(f"{words[0]} is not on PATH") from error
    if ended.returncode:
        said = "\n".join((ended.stderr or ended.stdout).strip().splitlines()[-LAST_LINES:])
        raise ProofError(f"{' '.join(words[:4])} ended with exit code {ended.returncode}: {said}")
    return ended.stdout


def from_yaml(text: str) -> list[dict[str, Any]]:
    """The documents of a YAML text, by Zarf's yq.

    Args:
        text: One or more documents.
    """
    lines = output("zarf", "tools", "yq", "-o=json", "-I=0", ".", "-", text=text).splitlines()
    return [document for line in lines if (document := json.loads(line))]


def by_kind(documents: Iterable[dict[str, Any]], *kinds: str) -> list[dict[str, Any]]:
    """Manifests of some kinds.

    Args:
        documents: Manifests.
        kinds: As Kubernetes names them.
    """
    return [document for document in documents if document.get("kind") in kinds]
