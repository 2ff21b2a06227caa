# SPDX-License-Identifier: Apache-2.0
"""Chooses the dagger CLI and the engine, and runs commands with them."""

from __future__ import annotations

import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from cowabunga import engine, gotools, process
from cowabunga.paths import CHECKOUT
from cowabunga.process import capture

RUNNER_HOST = "_EXPERIMENTAL_DAGGER_RUNNER_HOST"


@dataclass(frozen=True)
class Session:
    """A dagger CLI and the variables with which it finds its engine.

    Attributes:
        program: The CLI.
        environment: Variables to add.
        foreign_engine: Whose engine it is, in words; None where it is our own.
    """

    program: Path
    environment: dict[str, str]
    foreign_engine: str | None

    def alive(self) -> bool:
        """Whether the engine is still there. The CLI itself would try for ever to reach one that died."""
        return self.foreign_engine is not None or engine.alive()


def pinned_version() -> str:
    """The version that the lock files name, such as v0.21.8."""
    return gotools.load("dagger").version


def existing_cli() -> Path | None:
    """A dagger of the pinned version on PATH."""
    found = shutil.which("dagger")
    if not found:
        return None
    code, text = capture([found, "version"])
    match = re.search(r"dagger (v\S+)", text)
    return Path(found) if code == 0 and match and match.group(1) == pinned_version() else None


def existing_engine() -> str | None:
    """How an engine of the pinned version that is already there is described; None where there is none."""
    if os.environ.get("COWABUNGA_ENGINE") == "own":
        return None
    address = os.environ.get(RUNNER_HOST)
    if address and address != engine.address():
        return f"the engine at {address} ({RUNNER_HOST})"
    if not shutil.which("docker"):
        return None
    image = f"registry.dagger.io/engine:{pinned_version()}"
    code, _ = capture(["docker", "image", "inspect", image], timeout=10)
    return f"Docker's {image}" if code == 0 else None


def prepare() -> Session:
    """A CLI and a running engine: those that are there, else our own, built and started first."""
    base = {"DO_NOT_TRACK": "1", "DAGGER_NO_NAG": "1"}
    found = existing_engine()
    if not found:
        engine.up()
        base[RUNNER_HOST] = engine.address()
    program = existing_cli()
    if program is None:
        program = gotools.ensure("dagger") / "dagger"
        if "DAGGER_PROGRESS" not in os.environ:
            base["DAGGER_PROGRESS"] = "plain"  # Our own CLI has no interactive view.
    if not sys.stderr.isatty():
        base["NO_COLOR"] = "1"
    return Session(program, base, found)


def run(session: Session, arguments: list[str]) -> int:
    """Run the dagger CLI in the checkout, on this process's terminal; its exit code.

    Raises:
        EngineError: The engine died meanwhile.
    """
    with engine.in_use():
        command = [str(session.program), *arguments]
        code = process.run(command, env=session.environment, cwd=CHECKOUT, alive=session.alive)
    if code and not session.alive():
        raise engine.died(f"dagger {' '.join(arguments[:2])}")
    return code
