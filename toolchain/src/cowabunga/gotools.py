# SPDX-License-Identifier: Apache-2.0
"""Builds tools from the pinned Go modules below `toolchain/go`, and programs of our own, once, into the cache."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

from cowabunga import console, python_tools, store
from cowabunga.errors import MirrorError, UsageError
from cowabunga.paths import TOOLCHAIN, digest_of, logs
from cowabunga.process import hint_for, run_logged

GO_MODULES = TOOLCHAIN / "go"
# Compiles what does not say which Go it needs.
COMPILER = "go"
# The pinned toolchain alone: no other one is fetched, and the machine's own settings of flags do not leak in.
PINNED = {"GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly", "GOWORK": "off"}


@dataclass(frozen=True)
class Binary:
    """One program of a tool: its package and how it is compiled."""

    name: str
    package: str
    tags: tuple[str, ...]
    ldflags: str


@dataclass(frozen=True)
class Tool:
    """A tool as its `build.json` describes it."""

    name: str
    version: str
    binaries: tuple[Binary, ...]
    env: dict[str, str]
    compiler: str

    @property
    def module(self) -> Path:
        """Folder of the tool's Go module."""
        return GO_MODULES / self.name

    def key(self) -> str:
        """Digest of all that decides the binaries' bytes."""
        return digest_of(platform.machine(), self.module, python_tools.REQUIREMENTS / f"{self.compiler}.lock")


def names() -> list[str]:
    """Names of all tools, sorted."""
    return sorted(file.parent.name for file in GO_MODULES.glob("*/build.json"))


def load(name: str) -> Tool:
    """A tool's description.

    Raises:
        UsageError: There is no such tool; the message lists those that are.
    """
    if name not in names():
        raise UsageError(f"no tool is named {name!r}", f"The tools are: {', '.join(names())}.")
    raw = json.loads((GO_MODULES / name / "build.json").read_text())
    binaries = tuple(
        Binary(binary, spec["package"], tuple(spec.get("tags", ())), spec.get("ldflags", ""))
        for binary, spec in raw["binaries"].items()
    )
    return Tool(raw["tool"], raw["version"], binaries, raw.get("env", {}), raw["compiler"])


def ensure(name: str) -> Path:
    """Directory with a tool's programs, built first where the cache has none of this lock.

    Raises:
        MirrorError: A Go module could not be fetched.
        DiskFullError: The disk is full.
        JobError: It did not compile.
    """
    tool = load(name)
    return store.ensure(f"tool-{name}", tool.key(), lambda target: _build(tool, target))


def program(module: Path, name: str) -> Path:
    """A program of this repository's own Go, compiled first where the cache has none of these sources.

    Args:
        module: Folder of its Go module, which requires no other.
        name: Of the program.

    Raises:
        MirrorError: Go could not be fetched.
        JobError: It did not compile.
    """
    key = digest_of(platform.machine(), module, python_tools.REQUIREMENTS / f"{COMPILER}.lock")

    def build(target: Path) -> None:
        go = python_tools.go(COMPILER)
        command: list[str | Path] = [go, "build", "-trimpath", "-buildvcs=false", "-o", target / name, "."]
        with console.step(f"building {name}", f"build-{name}"):
            run_logged(command, logs() / f"build-{name}.log", f"building {name}", env=PINNED, cwd=module)

    return store.ensure(f"program-{name}", key, build) / name


def module_source(name: str, module: str) -> Path:
    """Folder of the sources of a module that a tool requires, in the version that its go.mod pins.

    Args:
        name: Of the tool.
        module: Path of the module.

    Raises:
        MirrorError: It could not be fetched.
    """
    tool = load(name)
    command = [str(python_tools.go(tool.compiler)), "mod", "download", "-json", module]
    finished = subprocess.run(
        command, cwd=tool.module, env={**os.environ, **PINNED}, capture_output=True, text=True, check=False
    )
    if finished.returncode != 0:
        told = f"{finished.stdout}{finished.stderr}".strip()
        raise MirrorError(f"Go module {module} could not be fetched: {told}", hint_for(MirrorError, None))
    return Path(json.loads(finished.stdout)["Dir"])


def _build(tool: Tool, target: Path) -> None:
    go = python_tools.go(tool.compiler)
    log = logs() / f"build-{tool.name}.log"
    env = {**tool.env, **PINNED}
    for binary in tool.binaries:
        with console.step(f"building {binary.name} {tool.version}", f"build-{binary.name}"):
            flags = ["-trimpath", "-buildvcs=false", f"-ldflags={binary.ldflags}"]
            if binary.tags:
                flags.append(f"-tags={','.join(binary.tags)}")
            run_logged(
                [go, "build", *flags, "-o", target / binary.name, binary.package],
                log,
                f"building {binary.name}",
                env=env,
                cwd=tool.module,
            )
