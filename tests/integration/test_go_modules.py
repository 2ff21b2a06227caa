# SPDX-License-Identifier: Apache-2.0
"""The Go programs that are our own pass their own tests."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from harness import CHECKOUT

from cowabunga import gotools, python_tools

GO = CHECKOUT / "toolchain/go"
# A test belongs to the nearest module above it: modules are nested.
MODULES = sorted(
    {next(folder for folder in file.parents if (folder / "go.mod").exists()) for file in GO.rglob("*_test.go")}
)


def name_of(module: Path) -> str:
    """As its go.mod has it."""
    return (module / "go.mod").read_text().split(maxsplit=2)[1]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(GO)))
def test_a_module_passes_its_own_tests(module: Path) -> None:
    # What stands in for another module is tested where it is used, with the versions and sums that are pinned there.
    root = GO / module.relative_to(GO).parts[0]
    finished = subprocess.run(
        [python_tools.go(gotools.COMPILER), "test", "./..." if module == root else f"{name_of(module)}/..."],
        cwd=root,
        env={**os.environ, **gotools.PINNED, "CGO_ENABLED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
