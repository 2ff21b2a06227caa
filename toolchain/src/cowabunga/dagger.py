# SPDX-License-Identifier: Apache-2.0
"""Chooses the dagger CLI and the engine, and runs commands with them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cowabunga import console, engine, gotools, process
from cowabunga.errors import JobError, UsageError
from cowabunga.paths import CHECKOUT, logs
from cowabunga.process import capture, classify, hint_for, watched

RUNNER_HOST = "_EXPERIMENTAL_DAGGER_RUNNER_HOST"
# Spans that people wait for, in dagger's plain output: "12  : ┆ build api", later "12  : ┆ build api DONE [1.2s]".
SPAN = re.compile(
    r"^\d+\s*:\s(?:┆\s)*build (?P<service>[a-z][a-z0-9-]*)(?: (?P<end>DONE|ERROR|CACHED) \[(?P<time>.*)\])?$"
)
# What the module says of a mistake in what it was given.
USAGE_SIGNS = ("no service is named", "service.yaml:", "has no flavor", "has flavor")
TRACE = re.compile(r" ?\[traceparent:[0-9a-f-]+\]")


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


def run(session: Session, arguments: list[str], *, within: Sequence[str] = (), pass_fds: Sequence[int] = ()) -> int:
    """Run the dagger CLI in the checkout, on this process's terminal; its exit code.

    Args:
        session: The CLI and its engine.
        arguments: Of the CLI.
        within: A command that runs it, with its arguments.
        pass_fds: File descriptors that this command inherits.

    Raises:
        EngineError: The engine died meanwhile.
    """
    with engine.in_use():
        command = [*within, str(session.program), *arguments]
        code = process.run(command, env=session.environment, cwd=CHECKOUT, alive=session.alive, pass_fds=pass_fds)
    if code and not session.alive():
        raise engine.died(f"dagger {' '.join(arguments[:2])}")
    return code


def call(session: Session, arguments: list[str], name: str, *, verbose: bool = False) -> None:
    """Run a dagger command: its whole output goes to a log, and what people wait for to the terminal.

    Raises:
        EngineError: The engine died meanwhile.
        CowabungaError: The command failed; the class is by its reason, which the message holds.
    """
    log = logs() / f"{name}.log"
    tail: deque[str] = deque(maxlen=40)
    with (
        engine.in_use(),
        log.open("w", buffering=1) as sink,
        subprocess.Popen(
            [str(session.program), "--progress=plain", *arguments],
            cwd=CHECKOUT,
            env={**os.environ, **session.environment, "NO_COLOR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as child,
        watched(child, session.alive),
    ):
        for line in child.stdout or ():
            sink.write(line)
            tail.append(line.rstrip())
            if verbose:
                console.err.out(line, end="")
            elif found := SPAN.match(line.rstrip()):
                _show_span(found)
    if child.returncode == 0:
        return
    if not session.alive():
        raise engine.died(name)
    reason = _reason(list(tail))
    kind = UsageError if any(sign in reason for sign in USAGE_SIGNS) else classify(reason, JobError)
    raise kind(f"dagger {' '.join(arguments[:2])} failed: {reason}", hint_for(kind, log))


def _show_span(found: re.Match[str]) -> None:
    """One line when a service's build begins, and one when it ends."""
    service, end = found["service"], found["end"]
    if end:
        mark = "[red]✗[/red]" if end == "ERROR" else "[green]✓[/green]"
        console.err.print(f"  {mark} build {service} ({found['time']})")
    else:
        before = console.last_seconds(f"build-{service}")
        console.err.print(f"  • build {service}" + (f", last time {before:.0f} s" if before else ""))


def _reason(lines: list[str]) -> str:
    """What dagger says at its end, without the ids of its traces; its last lines where it says nothing."""
    starts = [number for number, line in enumerate(lines) if line.startswith("Error: ")]
    chosen = lines[starts[-1] :] if starts else lines[-15:]
    return TRACE.sub("", "\n".join(chosen)).removeprefix("Error: ").removeprefix("FunctionError: ").strip()
