# SPDX-License-Identifier: Apache-2.0
"""Runs the launcher of a checkout as a person would, with its output in a log."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cowabunga import engine, errors
from cowabunga.dagger import RUNNER_HOST

GRACE_SECONDS = 60
TAIL_LINES = 12
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Build:
    """A run of build-all: how long it took as a whole, and the services' lines of its report."""

    seconds: float
    services: tuple[dict[str, Any], ...]

    def row(self, service: str) -> dict[str, Any]:
        """A service's line of the report.

        Raises:
            JobError: The report has none.
        """
        for row in self.services:
            if row["service"] == service:
                return row
        raise errors.JobError(f"build-report.json has no line of service {service!r}")


@dataclass(frozen=True)
class Launcher:
    """The command `./cowabunga` of a checkout.

    Attributes:
        checkout: Folder of the checkout.
        environment: All variables that it gets.
        log: File that receives all output.
    """

    checkout: Path
    environment: Mapping[str, str]
    log: Path

    def within(self, checkout: Path) -> Launcher:
        """The launcher of another checkout."""
        return replace(self, checkout=checkout)

    def with_cache(self, home: Path) -> Launcher:
        """The launcher on another cache, with an engine of its own there."""
        kept = {name: value for name, value in self.environment.items() if name != RUNNER_HOST}
        return replace(self, environment={**kept, "COWABUNGA_HOME": str(home), "COWABUNGA_ENGINE": "own"})

    def run(self, *arguments: str | Path) -> float:
        """Run a command and wait for its end.

        It has a session of its own: an interrupted benchmark ends it with one signal, which it cleans up after, where
        a terminal's Ctrl-C would hit both at once.

        Args:
            arguments: Of the launcher.

        Returns:
            Seconds from start to end.

        Raises:
            CowabungaError: It failed; the class is that of its exit code.
        """
        command = [str(self.checkout / "cowabunga"), *map(str, arguments)]
        with self.log.open("ab") as sink:
            sink.write(f"$ {shlex.join(command)}\n".encode())
            sink.flush()
            start = sink.tell()
            begun = time.perf_counter()
            process = subprocess.Popen(
                command,
                cwd=self.checkout,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                code = process.wait()
            except BaseException:
                _end(process)
                raise
            seconds = time.perf_counter() - begun
        if code:
            with self.log.open("rb") as source:
                source.seek(start)
                lines = COLOURS.sub("", source.read().decode(errors="replace")).strip().splitlines()[-TAIL_LINES:]
            told = "\n".join(f"    {line}" for line in lines)
            raise failure(code)(
                f"./cowabunga {shlex.join(command[1:])} ended with {code}:\n{told}",
                f"All output of the benchmark's commands: {self.log}",
            )
        return seconds

    def build_all(self, output: Path) -> Build:
        """Build all services into a folder."""
        seconds = self.run("build-all", "--output", output)
        report = json.loads((output / "build-report.json").read_text())
        return Build(seconds, tuple(report["services"]))


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a launcher, politely first."""
    process.terminate()
    try:
        process.wait(GRACE_SECONDS)
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        raise


def failure(code: int) -> type[errors.CowabungaError]:
    """The launcher's error class of an exit code."""
    kinds = (
        errors.UsageError,
        errors.HostError,
        errors.MirrorError,
        errors.DiskFullError,
        errors.EngineError,
        errors.PortInUseError,
        errors.LockedError,
    )
    return next((kind for kind in kinds if kind.exit_code == code), errors.JobError)


def environment_of_a_person(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables as they were before the launcher added its own for this benchmark."""
    kept = {name: value for name, value in environment.items() if name != "PYTHONPATH"}
    if kept.get(RUNNER_HOST) == engine.address():
        del kept[RUNNER_HOST]
    return kept
