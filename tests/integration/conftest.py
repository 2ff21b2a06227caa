# SPDX-License-Identifier: Apache-2.0
"""The real thing: the real engine, the real dagger CLI, images as built."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from harness import CHECKOUT, Built, Run, run_program


@pytest.fixture(scope="session")
def dagger() -> Run:
    """Runs the dagger CLI against the engine that `./cowabunga test` prepared."""
    if not shutil.which("dagger"):
        pytest.fail("dagger is not on PATH: run these tests by ./cowabunga test")

    def run(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
        return run_program("dagger", *arguments, **options)

    return run


@pytest.fixture(scope="session")
def cowabunga() -> Run:
    """Runs the launcher."""

    def run(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
        return run_program(str(CHECKOUT / "cowabunga"), *arguments, **options)

    return run


@pytest.fixture(scope="session")
def built(cowabunga: Run, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """All images, by the command that the README names."""
    folder = tmp_path_factory.mktemp("dist")
    finished = cowabunga("build-all", "--output", folder)
    assert finished.returncode == 0, finished.stderr
    return Built(folder, json.loads((folder / "build-report.json").read_text()))


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A copy of the sources, to be changed."""
    target = tmp_path / "sources"
    for part in ("services", "packages", "bundles", "toolchain"):
        shutil.copytree(CHECKOUT / part, target / part, ignore=shutil.ignore_patterns("__pycache__"))
    return target
