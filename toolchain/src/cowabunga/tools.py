# SPDX-License-Identifier: Apache-2.0
"""Tools for the machine: those that the pipeline needs in any case come out of the engine, others are compiled here."""

from __future__ import annotations

from pathlib import Path

from cowabunga import console, dagger, gotools, store
from cowabunga.errors import UsageError

# The largest: each takes minutes, and the pipeline needs them in any case.
OF_THE_PIPELINE = ("helm", "trivy", "uds", "zarf")


def ensure(name: str) -> Path:
    """Directory with a tool's programs, built first where the cache has none of this lock.

    Raises:
        UsageError: There is no such tool; the message lists those that are.
        MirrorError: A Go module could not be fetched.
        DiskFullError: The disk is full.
        JobError: It did not compile.
    """
    if name not in OF_THE_PIPELINE:
        return gotools.ensure(name)
    tool = gotools.load(name)
    return store.ensure(f"tool-{name}", tool.key(), lambda target: _export(tool, target))


def program(name: str) -> Path:
    """A tool's program, built first where the cache has none of this lock.

    Raises:
        UsageError: There is no such tool, or it is several programs.
        CowabungaError: As ensure() raises it.
    """
    binaries = [binary.name for binary in gotools.load(name).binaries]
    if name not in binaries:
        raise UsageError(f"{name} is no program of its own", f"It is what a cluster is made of: {', '.join(binaries)}.")
    return ensure(name) / name


def _export(tool: gotools.Tool, target: Path) -> None:
    session = dagger.prepare()
    arguments = ["call", "tool", f"--name={tool.name}", "export", f"--path={target / tool.name}"]
    with console.step(f"building {tool.name} {tool.version} in the engine", f"build-{tool.name}"):
        dagger.call(session, arguments, f"build-{tool.name}")
