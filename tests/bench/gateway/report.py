# SPDX-License-Identifier: Apache-2.0
"""What the benchmark of gateways found: raw results of every round, and the figures made from them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from bench.report import Machine

SCHEMA_VERSION: Final = 1


class Part(BaseModel):
    """A part of the report."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Spread(Part):
    """Quantiles of samples, in seconds."""

    p50: float
    p90: float
    p99: float
    max: float
    mean: float


class ProcessUse(Part):
    """What one process used while it was measured.

    Attributes:
        cpu_seconds: CPU time of all its threads.
        rss_bytes: In memory when measuring ended.
        rss_peak_bytes: The most that it ever had in memory.
    """

    pid: int
    cpu_seconds: float
    rss_bytes: int
    rss_peak_bytes: int


class LoadResult(Part):
    """What a load generator prints of one round.

    Attributes:
        tokens: Words of the message, which are the tokens of its echo.
        seconds: How long was measured.
        requests: Answers that ended meanwhile, every one of them checked.
        latency: From the request's first byte sent to the answer's last one read.
        first_token: From the request's first byte sent to the first text of a stream.
        gap: Between two texts of a stream.
        events_per_answer: Texts of a stream; fewer than its tokens where a gateway joins them.
        reconnects: Connections that the server closed behind an answer.
        processes: Of the target, children included.
    """

    clients: int
    stream: bool
    tokens: int
    seconds: float
    requests: int = Field(gt=0)
    requests_per_second: float
    latency: Spread
    first_token: Spread | None
    gap: Spread | None
    events_per_answer: float
    reconnects: int
    processes: tuple[ProcessUse, ...]

    @property
    def cpu_per_request(self) -> float:
        """CPU seconds of the target for one answer."""
        return sum(process.cpu_seconds for process in self.processes) / self.requests


class Figure(Part):
    """A number over the rounds: the middle one, which one disturbed round does not move, the least and the most."""

    median: float
    low: float
    high: float

    @property
    def spread(self) -> float:
        """How far apart the rounds are, as a part of the median."""
        return (self.high - self.low) / self.median if self.median else 0.0


class Figures(Part):
    """The figures of a cell; times in seconds. What is added is over the target's base in the same round.

    Attributes:
        requests_per_second: Answers.
        cpu_per_request: CPU time of the target's processes for one answer.
        p50: Of latency, as p90 and p99.
        first_p50: Of the time to the first token, as first_p99; None where nothing is streamed.
        gap_p50: Of the time between tokens, as gap_p99; None where nothing is streamed.
        added_p50: Of latency over the base's, as added_p99; None for a base.
        added_first_p50: Of the time to the first token over the base's.
    """

    requests_per_second: Figure
    cpu_per_request: Figure
    p50: Figure
    p90: Figure
    p99: Figure
    first_p50: Figure | None = None
    first_p99: Figure | None = None
    gap_p50: Figure | None = None
    gap_p99: Figure | None = None
    added_p50: Figure | None = None
    added_p99: Figure | None = None
    added_first_p50: Figure | None = None


class Cell(Part):
    """One target, asked in one way by so many clients.

    Attributes:
        rounds: As the load generator printed them.
    """

    target: str
    stream: bool
    clients: int
    figures: Figures
    rounds: tuple[LoadResult, ...] = Field(min_length=1)


class Memory(Part):
    """Bytes that a target's processes have in memory.

    Attributes:
        idle: When it was ready, before any load.
        after: When the last load was over.
        peak: The most at any time.
    """

    idle: int
    after: int
    peak: int


class TargetReport(Part):
    """A target as it was measured.

    Attributes:
        base: Key of what it is compared with; None where nothing is behind it.
        version: Of the package; empty where it is of these sources.
        note: What a reader must know.
    """

    key: str
    title: str
    base: str | None
    version: str
    note: str
    memory: Memory


class Goal(Part):
    """A goal and what was found.

    Attributes:
        unit: Of both numbers; "times" is a ratio.
        bound: The goal.
        at_least: Whether more is better.
        beside: What else tells of it.
    """

    title: str
    unit: Literal["times", "seconds"]
    value: float
    bound: float
    at_least: bool
    beside: str = ""
    met: bool


class GatewayReport(Part):
    """A run of the benchmark; `schema_version` changes when a reader must change.

    Attributes:
        date: When it began, UTC, ISO 8601.
        rounds: In each of which every cell was measured once.
        seconds: Of measuring, at least, in each cell of a round.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    date: str
    machine: Machine
    versions: dict[str, str]
    rounds: int
    seconds: float
    targets: tuple[TargetReport, ...]
    cells: tuple[Cell, ...]
    goals: tuple[Goal, ...]


def figure(samples: Sequence[float]) -> Figure:
    """The figure of one number for each round."""
    return Figure(median=statistics.median(samples), low=min(samples), high=max(samples))


def figures(rounds: Sequence[LoadResult], base: Sequence[LoadResult] | None) -> Figures:
    """Make the figures of a cell.

    Args:
        rounds: Its results.
        base: Results of the same cell of its base, in the same rounds; None where it has none.
    """

    def of(choose: Callable[[LoadResult], float]) -> Figure:
        return figure([choose(one) for one in rounds])

    def part(name: Literal["first_token", "gap"], quantile: Literal["p50", "p99"]) -> Figure | None:
        spreads = [spread for one in rounds if (spread := getattr(one, name)) is not None]
        return figure([getattr(spread, quantile) for spread in spreads]) if spreads else None

    pairs = list(zip(rounds, base, strict=True)) if base else []
    firsts = [
        own.first_token.p50 - other.first_token.p50 for own, other in pairs if own.first_token and other.first_token
    ]
    return Figures(
        requests_per_second=of(lambda one: one.requests_per_second),
        cpu_per_request=of(lambda one: one.cpu_per_request),
        p50=of(lambda one: one.latency.p50),
        p90=of(lambda one: one.latency.p90),
        p99=of(lambda one: one.latency.p99),
        first_p50=part("first_token", "p50"),
        first_p99=part("first_token", "p99"),
        gap_p50=part("gap", "p50"),
        gap_p99=part("gap", "p99"),
        added_p50=figure([own.latency.p50 - other.latency.p50 for own, other in pairs]) if pairs else None,
        added_p99=figure([own.latency.p99 - other.latency.p99 for own, other in pairs]) if pairs else None,
        added_first_p50=figure(firsts) if firsts else None,
    )
