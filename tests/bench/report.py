# SPDX-License-Identifier: Apache-2.0
"""What a benchmark found: its measures, the machine it ran on, and how it compares with an earlier one."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cowabunga.errors import UsageError

SCHEMA_VERSION: Final = 1
# Ratios this near to 1 are no news.
NOISE = 0.05
Group = Literal["cold", "warm", "images", "packages"]
Unit = Literal["seconds", "bytes"]


class Measure(BaseModel):
    """One thing that was measured, smaller being better.

    Attributes:
        key: Names it in every report, so that two reports can be compared.
        title: What people read.
        group: Measures of a group are drawn on one scale.
        unit: Of the samples, the goal and the limit.
        samples: One number for each run.
        goal: What the median should not exceed.
        limit: What no sample may exceed.
        note: What a reader must know besides.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    title: str
    group: Group
    unit: Unit
    samples: tuple[int | float, ...] = Field(min_length=1)
    goal: int | float | None = None
    limit: int | float | None = None
    note: str = ""

    @property
    def minimum(self) -> float:
        """The best sample."""
        return min(self.samples)

    @property
    def median(self) -> float:
        """The middle sample, which a single disturbed run does not move."""
        return statistics.median(self.samples)

    @property
    def maximum(self) -> float:
        """The worst sample."""
        return max(self.samples)

    @property
    def meets_goal(self) -> bool | None:
        """Whether the median is within the goal; None where there is no goal."""
        return None if self.goal is None else self.median <= self.goal

    @property
    def within_limit(self) -> bool:
        """Whether every sample is within the limit, if there is one."""
        return self.limit is None or self.maximum <= self.limit

    @property
    def verdict(self) -> str:
        """Goal and limit in words; empty where there is neither."""
        if not self.within_limit:
            return "limit exceeded"
        return {True: "goal met", False: "goal missed", None: "within limit" if self.limit else ""}[self.meets_goal]


class Machine(BaseModel):
    """Where it ran: times mean little without it.

    Attributes:
        cores: That this process may use.
        cpu: Model name.
        memory: Bytes.
        kernel: Name and release.
        load: Processes that wanted to run when it started, averaged over a minute; more than a few tenths disturb.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cores: int
    cpu: str
    memory: int
    kernel: str
    load: float


class BenchReport(BaseModel):
    """A run of the benchmark; `schema_version` changes when a reader must change.

    Attributes:
        date: When it began, UTC, ISO 8601.
        versions: Of the sources and of what did the work, by name.
        failures: What could not be measured: the part's name and why.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = SCHEMA_VERSION
    date: str
    machine: Machine
    versions: dict[str, str]
    measures: tuple[Measure, ...]
    failures: dict[str, str] = {}

    @property
    def exceeded(self) -> list[Measure]:
        """Measures over their hard limit."""
        return [measure for measure in self.measures if not measure.within_limit]


@dataclass(frozen=True)
class Change:
    """A measure beside the same one of an earlier report; `earlier` is None where that has none."""

    now: Measure
    earlier: Measure | None

    @property
    def ratio(self) -> float | None:
        """Median now through median then: below 1 is better."""
        return self.now.median / self.earlier.median if self.earlier and self.earlier.median else None

    @property
    def trend(self) -> str:
        """The ratio in a word; empty where it is within what differs from run to run, or there is none."""
        ratio = self.ratio
        if ratio is None or abs(ratio - 1) <= NOISE:
            return ""
        return "better" if ratio < 1 else "worse"


def compare(now: BenchReport, earlier: BenchReport | None) -> list[Change]:
    """Every measure of a report, paired by key and unit with that of an earlier one."""
    known = {(measure.key, measure.unit): measure for measure in earlier.measures} if earlier else {}
    return [Change(measure, known.get((measure.key, measure.unit))) for measure in now.measures]


def load(file: Path) -> BenchReport:
    """Read a report from a file.

    Raises:
        UsageError: It cannot be read, or is no report of this schema.
    """
    try:
        return BenchReport.model_validate_json(file.read_text())
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}", "Name a bench.json of an earlier run.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "its start"
        raise UsageError(
            f"{file} is no benchmark report of schema {SCHEMA_VERSION}: at {where}: {first['msg']}",
            "Name a bench.json of an earlier run.",
        ) from error


def amount(value: float, unit: Unit) -> str:
    """A number as people read it: three digits that count, seconds or decimal megabytes."""
    scaled, name = (value, "s") if unit == "seconds" else (value / 1e6, "MB")
    # The limits are where rounding would give one digit more.
    digits = 2 if scaled < 9.995 else 1 if scaled < 99.95 else 0
    return f"{scaled:.{digits}f} {name}"


def goal_text(value: float, unit: Unit) -> str:
    """A goal or limit, which is a round number."""
    return f"{value:g} s" if unit == "seconds" else f"{value / 1e6:g} MB"
