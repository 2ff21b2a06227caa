# SPDX-License-Identifier: Apache-2.0
"""Runs a load generator against a target, and reads what it measured."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from bench.gateway.report import LoadResult
from bench.gateway.targets import Running, Target
from cowabunga import services
from cowabunga.errors import JobError

BENCHES = Path(__file__).parents[2]
# Beyond this a load generator is taken for stuck: its own limits are warm-up, measuring and one answer.
LIMIT_SECONDS = 600


@dataclass(frozen=True)
class Load:
    """How a target is asked.

    Attributes:
        stream: Whether for streamed answers.
        clients: Each with a connection and one request at a time.
        seconds: Of measuring, at least.
        warmup: Seconds of asking before that, at least.
    """

    stream: bool
    clients: int
    seconds: float
    warmup: float

    @property
    def tokens(self) -> int:
        """Words of the message, so tokens of the answer: a stream is about many, a whole answer about one request."""
        return 64 if self.stream else 16

    @property
    def title(self) -> str:
        """What people read."""
        return f"{'streamed' if self.stream else 'whole'} answers, {self.clients} client{'s' * (self.clients > 1)}"


def run(program: Path, target: Target, running: Running, load: Load) -> LoadResult:
    """Ask a target as a load says.

    Args:
        program: Of the load generator for HTTP.
        target: What is asked.
        running: Where it answers.
        load: How it is asked.

    Raises:
        JobError: An answer was wrong, or the target does not answer; nothing of the load counts then.
    """
    words, variables = (_native if target.native else _http)(program, running, load)
    pids = [word for pid in running.pids for word in ("--pid", str(pid))]
    try:
        finished = subprocess.run(
            [*words, *pids],
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise JobError(f"{target.title}, {load.title}: not done after {LIMIT_SECONDS} s") from error
    if finished.returncode:
        raise JobError(
            f"{target.title}, {load.title}: {finished.stderr.strip()[-800:]}",
            f"The target's log: {running.process.log}",
        )
    try:
        return LoadResult.model_validate_json(finished.stdout)
    except ValidationError as error:
        raise JobError(f"{target.title}, {load.title}: the load generator printed no result: {error}") from error


def _http(program: Path, running: Running, load: Load) -> tuple[list[str], dict[str, str]]:
    words = [str(program), "load", "-url", running.address, "-model", running.model]
    words += ["-clients", str(load.clients), "-tokens", str(load.tokens), f"-stream={str(load.stream).lower()}"]
    words += ["-time", f"{load.seconds}s", "-warmup", f"{load.warmup}s"]
    # By the environment: a command line can be read by everyone on the machine.
    return words, {"GATEWAYBENCH_KEY": running.key} if running.key else {}


def _native(_: Path, running: Running, load: Load) -> tuple[list[str], dict[str, str]]:
    python = services.service_environment("repeater")
    sources = [*map(str, services.load("repeater").sources), str(BENCHES)]
    words = [str(python), "-P", "-m", "bench.gateway.grpc_client", "--target", running.address]
    words += ["--model", running.model, "--clients", str(load.clients), "--tokens", str(load.tokens)]
    words += ["--time", str(load.seconds), "--warmup", str(load.warmup), *(["--stream"] if load.stream else [])]
    return words, {"PYTHONPATH": os.pathsep.join(sources)}
