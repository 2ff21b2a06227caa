# SPDX-License-Identifier: Apache-2.0
"""Starts what is measured, waits until it answers, and ends all of it whatever happens."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from cowabunga.errors import JobError

START_SECONDS = 120
GRACE_SECONDS = 10
TAIL_LINES = 12
# What is measured is on the loopback, where no proxy may come between.
PROXIES = ("http_proxy", "https_proxy", "all_proxy")


@dataclass(frozen=True)
class Started:
    """A process of ours and the file that its output goes to."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        """Its number."""
        return self.process.pid

    def tail(self) -> str:
        """The end of its output."""
        lines = self.log.read_text(errors="replace").strip().splitlines()[-TAIL_LINES:]
        return "\n".join(f"    {line[:400]}" for line in lines)

    def until(self, ready: Callable[[], bool], seconds: float = START_SECONDS) -> None:
        """Wait until it is ready.

        Args:
            ready: Asks it.
            seconds: How long at most.

        Raises:
            JobError: It ended, or was not ready in time; the message has the end of its output.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            code = self.process.poll()
            if code is not None:
                raise JobError(f"{self.name} ended with {code} as it started:\n{self.tail()}", f"Log: {self.log}")
            if time.monotonic() > deadline:
                raise JobError(f"{self.name} does not answer after {seconds:.0f} s:\n{self.tail()}", f"Log: {self.log}")
            time.sleep(0.1)


class Fleet:
    """Processes that live as long as this context; each in a session of its own, so that Ctrl-C reaches them once.

    Args:
        logs: Folder of their output.
        variables: The environment of all of them.
    """

    def __init__(self, logs: Path, variables: Mapping[str, str]) -> None:
        self._logs = logs
        self._variables = {name: value for name, value in variables.items() if name.lower() not in PROXIES}
        self._all: list[Started] = []

    def start(self, name: str, command: Sequence[str | Path], variables: Mapping[str, str] | None = None) -> Started:
        """Start a process.

        Args:
            name: Of its log and in errors.
            command: Program and arguments.
            variables: Added to its environment.

        Raises:
            JobError: The program cannot be started.
        """
        log = self._logs / f"bench-gateway-{name}.log"
        words = [str(part) for part in command]
        try:
            with log.open("wb") as sink:
                process = subprocess.Popen(
                    words,
                    env={**self._variables, **(variables or {})},
                    stdin=subprocess.DEVNULL,
                    stdout=sink,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as error:
            raise JobError(f"{name} cannot be started: {words[0]}: {error.strerror}") from error
        started = Started(name, process, log)
        self._all.append(started)
        return started

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for started in self._all:
            _signal(started, signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        for started in self._all:
            with suppress(subprocess.TimeoutExpired):
                started.process.wait(max(0.0, deadline - time.monotonic()))
        for started in self._all:
            # Also what a process that ended has left behind in its session.
            _signal(started, signal.SIGKILL)
            started.process.wait()


def _signal(started: Started, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(started.pid, number)


def accepts(port: int) -> bool:
    """Whether something listens on a port of the loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
