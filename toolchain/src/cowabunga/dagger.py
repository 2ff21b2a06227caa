"""Chooses the dagger CLI and the engine, and runs commands with them."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from cowabunga import engine, gotools
from cowabunga.paths import CHECKOUT
from cowabunga.process import capture

RUNNER_HOST = "_EXPERIMENTAL_DAGGER_RUNNER_HOST"


@dataclass(frozen=True)
class Session:
    """A dagger CLI and the variables with which it finds its engine.

    Attributes:
        program: The CLI.
        environment: Variables to add.
        engine: Whose engine it is, in words.
    """

    program: Path
    environment: dict[str, str]
    engine: str


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
    if address := os.environ.get(RUNNER_HOST):
        return f"the engine at {address} ({RUNNER_HOST})"
    if not shutil.which("docker"):
        return None
    image = f"registry.dagger.io/engine:{pinned_version()}"
    code, _ = capture(["docker", "image", "inspect", image], timeout=10)
    return f"Docker's {image}" if code == 0 else None


def prepare() -> Session:
    """A CLI and a running engine: those that are there, else our own, built and started first."""
    base = {"DO_NOT_TRACK": "1", "DAGGER_NO_NAG": "1"}
    if "DAGGER_PROGRESS" not in os.environ:
        base["DAGGER_PROGRESS"] = "plain"
    found = existing_engine()
    if found:
        program = existing_cli() or gotools.ensure("dagger") / "dagger"
        return Session(program, base, found)
    engine.up()
    program = existing_cli() or gotools.ensure("dagger") / "dagger"
    return Session(program, {**base, RUNNER_HOST: engine.address()}, "our own engine")


def run(session: Session, arguments: list[str]) -> None:
    """Replace this process by the dagger CLI, in the checkout."""
    os.chdir(CHECKOUT)
    os.execvpe(str(session.program), [str(session.program), *arguments], {**os.environ, **session.environment})  # noqa: S606 - arguments are passed as they are, no shell


def module_name() -> str:
    """The module's name in dagger.json."""
    name: str = json.loads((CHECKOUT / "dagger.json").read_text())["name"]
    return name
