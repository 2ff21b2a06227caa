# SPDX-License-Identifier: Apache-2.0
"""The echo server and the load generator pass their own tests, with the Go that compiles them."""

from __future__ import annotations

import os
import subprocess

import pytest

from bench.gateway.measure import MODULE
from cowabunga import gotools, python_tools


@pytest.mark.parametrize("command", [["vet", "."], ["test", "-count=1", "."]], ids=["vet", "test"])
def test_go_is_content(command: list[str]) -> None:
    finished = subprocess.run(
        [python_tools.go(gotools.COMPILER), *command],
        cwd=MODULE,
        env={**os.environ, **gotools.PINNED},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_the_program_needs_the_standard_library_alone() -> None:
    assert not (MODULE / "go.sum").exists()
    assert "require" not in (MODULE / "go.mod").read_text()
