"""The linters that the repository's settings describe."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from cowabunga.paths import CHECKOUT

TYPED = {"toolchain/src": "cowabunga", "dagger/src": "cowabungaai"}


def run(*arguments: str, cwd: str = ".") -> str:
    """Output of a linter that must be content."""
    finished = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=CHECKOUT / cwd, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def test_ruff_finds_nothing() -> None:
    run("ruff", "check", ".")


def test_ruff_would_format_nothing() -> None:
    run("ruff", "format", "--check", ".")


@pytest.mark.parametrize("folder", TYPED)
def test_types_are_strict(folder: str) -> None:
    run("mypy", "--config-file", str(CHECKOUT / "pyproject.toml"), "--cache-dir", os.devnull, TYPED[folder], cwd=folder)
