# SPDX-License-Identifier: Apache-2.0
"""Measures all targets in rounds: inside a round they take turns, so that what disturbs one disturbs its neighbours."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bench import probe
from bench.gateway import load
from bench.gateway.load import Load
from bench.gateway.report import Cell, LoadResult, Memory, TargetReport, figures
from bench.gateway.targets import Ground, Running, Target
from bench.processes import Fleet
from cowabunga import console, gotools
from cowabunga.paths import logs

T = TypeVar("T")

MODULE = Path(__file__).parent / "go"
# What a gateway loads or compiles with its first requests is part of no round.
FIRST = tuple(Load(stream, clients=16, seconds=0.2, warmup=0.2) for stream in (False, True))


@dataclass(frozen=True)
class Plan:
    """What is to be measured.

    Attributes:
        targets: In the order of the report.
        clients: How many at once, one after the other.
        rounds: In each of which every cell is measured once.
        seconds: Of measuring, at least, for each cell of a round.
        warmup: Seconds of asking before that, at least.
    """

    targets: tuple[Target, ...]
    clients: tuple[int, ...] = (1, 16, 64, 256)
    rounds: int = 3
    seconds: float = 5.0
    warmup: float = 1.0

    @property
    def loads(self) -> list[Load]:
        """Every way in which a target is asked."""
        return [Load(stream, one, self.seconds, self.warmup) for stream in (False, True) for one in self.clients]

    @property
    def least_seconds(self) -> float:
        """How long the rounds take at least; slow targets take longer."""
        return self.rounds * len(self.loads) * len(self.targets) * (self.seconds + self.warmup)


@dataclass(frozen=True)
class Taken:
    """The cells, and the targets with their memory."""

    targets: tuple[TargetReport, ...]
    cells: tuple[Cell, ...]


Results = Mapping[tuple[str, Load], Sequence[LoadResult]]


def take(plan: Plan, variables: Mapping[str, str]) -> Taken:
    """Start all targets, measure them in rounds, and end them whatever happens.

    Args:
        plan: What is to be measured.
        variables: The targets' environment.

    Raises:
        CowabungaError: A target could not be had or started, or an answer was wrong.
    """
    program = gotools.program(MODULE, "gatewaybench")
    for target in plan.targets:
        target.prepare()
    with tempfile.TemporaryDirectory(prefix="cowabunga-bench-") as folder, Fleet(logs(), variables) as fleet:
        running = _start(plan.targets, Ground(fleet, program, Path(folder)))
        idle = {key: sum(probe.read(pid).resident for pid in one.pids) for key, one in running.items()}
        for target in plan.targets:
            with console.step(f"asking {target.title} for the first time", f"bench-gateway-first-{target.key}"):
                for first in FIRST:
                    load.run(program, target, running[target.key], first)
        console.note(f"measuring takes at least {plan.least_seconds:.0f} s")
        results: dict[tuple[str, Load], list[LoadResult]] = defaultdict(list)
        for number in range(plan.rounds):
            for way in plan.loads:
                for target in turns(plan.targets, number):
                    result = load.run(program, target, running[target.key], way)
                    results[target.key, way].append(result)
                    console.note(
                        f"round {number + 1} of {plan.rounds}, {way.title}: "
                        f"{target.title} {result.requests_per_second:,.0f} requests/s"
                    )
    cells = tuple(_cell(target, way, results) for way in plan.loads for target in plan.targets)
    return Taken(tuple(_describe(target, idle[target.key], cells) for target in plan.targets), cells)


def turns(targets: Sequence[T], number: int) -> list[T]:
    """The order of a round: each begins with another target, so that none always comes first.

    Args:
        targets: All of them.
        number: Of the round, from 0.
    """
    start = number % len(targets)
    return [*targets[start:], *targets[:start]]


def _start(targets: Sequence[Target], ground: Ground) -> dict[str, Running]:
    """Start targets after what stands behind them."""
    running: dict[str, Running] = {}
    for target in sorted(targets, key=lambda one: one.base is not None):
        with console.step(f"starting {target.title}", f"bench-gateway-start-{target.key}"):
            running[target.key] = target.start(ground, running[target.base] if target.base else None)
    return running


def _cell(target: Target, way: Load, results: Results) -> Cell:
    rounds = results[target.key, way]
    base = results[target.base, way] if target.base else None
    return Cell(
        target=target.key,
        stream=way.stream,
        clients=way.clients,
        figures=figures(rounds, base),
        rounds=tuple(rounds),
    )


def _describe(target: Target, idle: int, cells: Sequence[Cell]) -> TargetReport:
    rounds = [one for cell in cells if cell.target == target.key for one in cell.rounds]
    last = [cell for cell in cells if cell.target == target.key][-1].rounds[-1]
    return TargetReport(
        key=target.key,
        title=target.title,
        base=target.base,
        version=target.version,
        note=target.note,
        memory=Memory(
            idle=idle,
            after=sum(process.rss_bytes for process in last.processes),
            peak=max(sum(process.rss_peak_bytes for process in one.processes) for one in rounds),
        ),
    )
