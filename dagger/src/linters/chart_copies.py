# SPDX-License-Identifier: Apache-2.0
"""Copies of all charts, with the charts that they are made of in them, as Zarf makes them when it makes a package."""

from __future__ import annotations

import contextlib
import os.path
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from linters.finding import Finding

# What is rendered lies below the one, and is rendered for what stands in the other.
COPIED = ("packages", "dagger/src/cowabungaai/environments.yaml")
LOCAL = "file://"


def dependencies(chart: str) -> dict[str, str]:
    """Folders of the charts of which a chart is made, by name, below the root of the repository.

    Args:
        chart: Its folder, in the current folder.
    """
    described: Any = yaml.safe_load(Path(chart, "Chart.yaml").read_text())
    found = described.get("dependencies") if isinstance(described, dict) else None
    return {
        one["name"]: os.path.normpath(f"{chart}/{one['repository'].removeprefix(LOCAL)}")
        for one in found or []
        if str(one.get("repository", "")).startswith(LOCAL)
    }


def library_file(chart: str, library: str, file: str) -> str:
    """Path of a file of a chart of which another is made.

    Args:
        chart: The other's folder.
        library: Its name.
        file: The file's path in it.
    """
    return f"{dependencies(chart).get(library, f'{chart}/charts/{library}')}/{file}"


@contextlib.contextmanager
def built_copies(root: Path) -> Iterator[list[Finding]]:
    """Makes copies of all charts, in a folder that is the current one meanwhile.

    Args:
        root: Of the repository.

    Yields:
        Charts that could not be made.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name in COPIED:
            if (root / name).is_dir():
                shutil.copytree(root / name, Path(folder, name), ignore=shutil.ignore_patterns("charts"))
            elif (root / name).is_file():
                Path(folder, name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(root / name, Path(folder, name))
        with contextlib.chdir(folder):
            yield list(_built())


def _built() -> Iterator[Finding]:
    for file in sorted(Path().glob("packages/*/chart/Chart.yaml")):
        chart = str(file.parent)
        if not dependencies(chart):
            continue
        command = ["helm", "dependency", "build", "--skip-refresh", chart]
        finished = subprocess.run(command, capture_output=True, text=True, check=False)
        if finished.returncode:
            yield Finding(str(file), 1, " ".join(finished.stderr.removeprefix("Error: ").split()))
