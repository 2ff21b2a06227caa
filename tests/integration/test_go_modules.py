# SPDX-License-Identifier: Apache-2.0
"""The Go programs that are our own pass their own tests."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from harness import CHECKOUT

from cowabunga import gotools, python_tools

MODULES = sorted(
    {file.parent for file in (CHECKOUT / "toolchain/go").glob("*/go.mod") if any(file.parent.rglob("*_test.go"))}
)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_a_module_passes_its_own_tests(module: Path) -> None:
    finished = subprocess.run(
        [python_tools.go(gotools.COMPILER), "test", "./..."],
        cwd=module,
        env={**os.environ, **gotools.PINNED, "CGO_ENABLED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
