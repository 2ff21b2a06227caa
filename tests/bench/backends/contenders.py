# SPDX-License-Identifier: Apache-2.0
"""What is measured: a process that answers, a worker that asks it, and both ended at the end."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import probe
from bench.processes import Fleet, Started, accepts
from cowabunga import models, services
from cowabunga.errors import JobError
from cowabunga.paths import CHECKOUT, logs
from cowabunga.python_tools import REQUIREMENTS
from shared.ports import free_port

WORKERS = "bench.backends.workers"
SERVING = re.compile(r'"event": ?"serving"')


class Worker:
    """A program of workers/, asked line by line.

    Args:
        name: In errors.
        process: It.
        log: File of what it says besides.
    """

    def __init__(self, name: str, process: subprocess.Popen[str], log: Path) -> None:
        self._name = name
        self._process = process
        self._log = log
        self._read()

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def ask(self, scenario: str, arguments: Mapping[str, Any]) -> float:
        """Run a scenario; how much was done a second.

        Raises:
            JobError: It failed; the message has the end of the worker's output.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"scenario": scenario, "arguments": arguments}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # The answer, which is missing then, says why.
        return float(self._read()["rate"])

    def end(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            tail = "\n".join(f"    {one[:400]}" for one in self._log.read_text(errors="replace").splitlines()[-12:])
            raise JobError(f"asking {self._name} ended with {self._process.returncode}:\n{tail}", f"Log: {self._log}")
        found: dict[str, Any] = json.loads(line)
        return found


@dataclass(frozen=True)
class Running:
    """A contender that has loaded its model.

    Attributes:
        worker: Asks it.
        pid: Of the process whose memory counts; its children's counts too.
        idle: Resident bytes once it had loaded.
    """

    worker: Worker
    pid: int
    idle: int

    def peak(self) -> int:
        """The most resident bytes so far, of the process and what descends from it."""
        return sum(probe.read(pid).peak for pid in probe.family(self.pid))


@dataclass(frozen=True)
class Ground:
    """Where contenders are started.

    Attributes:
        fleet: Ends all processes.
        variables: Their environment.
        workers: All that were started; the caller ends them.
    """

    fleet: Fleet
    variables: Mapping[str, str]
    workers: list[Worker]

    def work(self, name: str, python: Path, path: Sequence[Path], module: str, *arguments: str) -> Worker:
        """Start a worker.

        Args:
            name: In errors.
            python: Of the environment that it runs in.
            path: Folders of further modules.
            module: Of workers/.
            arguments: Of the module.
        """
        log = logs() / f"bench-backends-ask-{name}.log"
        places = os.pathsep.join(map(str, [CHECKOUT / "tests", *path]))
        with log.open("w") as sink:
            process = subprocess.Popen(
                [str(python), "-m", f"{WORKERS}.{module}", *arguments],
                env={**self.variables, "PYTHONPATH": places},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=sink,
                text=True,
            )
        worker = Worker(name, process, log)
        self.workers.append(worker)
        return worker


@dataclass(frozen=True)
class Contender:
    """Something that is measured.

    Attributes:
        key: Short name.
        title: As people know it.
        start: Starts it, and waits until it has loaded.
    """

    key: str
    title: str
    start: Callable[[Ground], Running]


def ours(service: str, title: str, settings: Mapping[str, str], key: str = "ours") -> Contender:
    """One of our services, from its sources, with its default model.

    Args:
        service: Its name.
        title: As people know it.
        settings: Its own settings, by the names of its arguments.
        key: Short name.
    """

    def start(ground: Ground) -> Running:
        (entry, *_) = models.ensure(service)
        port = free_port()
        given = [f"--{name}={value}" for name, value in settings.items()]
        address = ["--host", "127.0.0.1", "--port", str(port)]
        words, variables = services.command(service, [f"--model={entry.path}", *address, *given])
        needed = {**models.settings_of(service), **variables}
        started = ground.fleet.start(f"backend-{service}-{key}", words, needed)
        started.until(lambda: SERVING.search(started.log.read_text()) is not None)
        return _running(ground, started, _client(ground, key, port, entry.id))

    return Contender(key, title, start)


def _client(ground: Ground, name: str, port: int, model: str) -> Worker:
    python = services.service_environment("sdk")
    return ground.work(name, python, services.load("sdk").sources, "backend", f"127.0.0.1:{port}", model)


def _running(ground: Ground, started: Started, worker: Worker) -> Running:
    return Running(worker, started.pid, sum(probe.read(pid).resident for pid in probe.family(started.pid)))


def openai_server(key: str, title: str, service: str, lock: str, words: Callable[[int], Sequence[str]]) -> Contender:
    """A server that speaks OpenAI's API, in the environment of one of our services, and what a lock file adds.

    Args:
        key: Short name.
        title: As people know it.
        service: Has the library that the server is a part of.
        lock: Of `toolchain/requirements`, with what the server needs besides.
        words: Arguments of Python for a port.
    """

    def start(ground: Ground) -> Running:
        port = free_port()
        extra = services.environment(lock, REQUIREMENTS / f"{lock}.lock")
        site = next((extra.parent.parent / "lib").glob("python3.*")) / "site-packages"
        python = services.service_environment(service)
        places = [site, CHECKOUT / "tests", *services.load(service).sources]
        variables = {"PYTHONPATH": os.pathsep.join(map(str, places))}
        started = ground.fleet.start(f"backend-{key}", [python, *words(port)], variables)
        started.until(lambda: accepts(port))
        return _running(ground, started, ground.work(key, python, [], "openai_server", str(port)))

    return Contender(key, title, start)


def library(
    key: str, title: str, python: Callable[[], Path], module: str, arguments: Callable[[], list[str]]
) -> Contender:
    """A library that a worker uses in its own process.

    Args:
        key: Short name.
        title: As people know it.
        python: Of the environment that has it.
        module: Of workers/.
        arguments: Of the module.
    """

    def start(ground: Ground) -> Running:
        worker = ground.work(key, python(), [], module, *arguments())
        return Running(worker, worker.pid, probe.read(worker.pid).resident)

    return Contender(key, title, start)
