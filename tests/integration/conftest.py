# SPDX-License-Identifier: Apache-2.0
"""The real thing: the real engine, the real dagger CLI, images as built."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from harness import ATTACHED, CHECKOUT, RELEASED, Built, Released, Run, run_program

from cowabunga import gotools
from shared.secrecy import collecting
from shared.vulnerabilities import ELSEWHERE, build


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


@pytest.fixture(scope="session")
def released(dagger: Run, tmp_path_factory: pytest.TempPathFactory) -> Released:
    """The small bundle, released as a whole."""
    folder = tmp_path_factory.mktemp("release")
    courier = gotools.ensure("courier") / "courier"
    password = "of-this-test"  # noqa: S105 - of a key that is made here
    private, public = folder / "cosign.key", folder / "cosign.pub"
    making: list[str | Path] = [courier, "keygen", "--private", private, "--public", public]
    subprocess.run(making, env={**os.environ, "COSIGN_PASSWORD": password}, check=True, capture_output=True)
    (folder / "database").mkdir()
    database = build(folder / "database", ELSEWHERE)
    (folder / "attached").mkdir()
    (folder / "attached" / "published.json").write_text(ATTACHED)
    chosen = [option for service in RELEASED for option in ("--services", service)]
    with pytest.MonkeyPatch.context() as patch, collecting() as traces:
        patch.setenv("COSIGN_PASSWORD", password)
        finished = dagger(
            "call",
            "release",
            *chosen,
            *("--bundle", "dev", "--version", "1.2.3", "--db", database, "--attachments", folder / "attached"),
            *("--key", f"file:{private}", "--key-password", "env:COSIGN_PASSWORD"),
            *("export", "--path", folder / "dist"),
        )
    assert finished.returncode == 0, finished.stderr
    told = (finished.stdout + finished.stderr).encode() + traces.of("release")
    return Released(folder / "dist", public, private, password, told)


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A copy of the sources, to be changed."""
    target = tmp_path / "sources"
    for part in ("services", "packages", "bundles", "docs", "toolchain"):
        shutil.copytree(CHECKOUT / part, target / part, ignore=shutil.ignore_patterns("__pycache__"))
    return target
