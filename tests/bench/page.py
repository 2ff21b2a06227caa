# SPDX-License-Identifier: Apache-2.0
"""The page: charts and figures of a report in one file that needs no network."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bench.report import BenchReport, Change, Group, Measure, amount, compare, goal_text

TEMPLATES = Path(__file__).parent
GROUPS: dict[Group, tuple[str, str]] = {
    "cold": ("On an empty engine", "Nothing has been built before; every package comes from a mirror."),
    "warm": ("Day by day", "What a developer waits for when little or nothing has changed."),
    "images": ("Images", "Each service's OCI archive, compressed."),
    "packages": ("Packages", "What is carried into an enclave."),
}
TICKS = 4


@dataclass(frozen=True)
class Mark:
    """A place on a chart's scale: percent of its width, and the text beside it."""

    at: float
    text: str


@dataclass(frozen=True)
class Bar:
    """A measure as it is drawn; every number is in percent of the chart's width.

    Attributes:
        measure: What it shows.
        width: Of the bar, up to the median.
        low: Of the whisker's start, the best sample.
        high: Of the whisker's end, the worst sample.
        dots: Of every sample.
        goal: Of the goal's line.
        limit: Of the limit's line.
        earlier: Of the earlier report's bar.
        label: The figure beside the title.
    """

    measure: Measure
    width: float
    low: float
    high: float
    dots: tuple[float, ...]
    goal: float | None
    limit: float | None
    earlier: float | None
    label: str


@dataclass(frozen=True)
class Chart:
    """The bars of a group on one scale."""

    name: Group
    title: str
    subtitle: str
    description: str
    bars: tuple[Bar, ...]
    ticks: tuple[Mark, ...]


def render(report: BenchReport, earlier: BenchReport | None = None) -> str:
    """The page as HTML.

    Args:
        report: What was measured.
        earlier: A report to set beside it.
    """
    environment = templates()
    environment.filters.update(amount=amount, bounds=bounds)
    changes = compare(report, earlier)
    return environment.get_template("page.html.j2").render(
        report=report,
        earlier=earlier,
        changes=changes,
        charts=[chart(name, changes) for name in GROUPS if any(change.now.group == name for change in changes)],
        judged=[measure for measure in report.measures if measure.goal is not None or not measure.within_limit],
    )


def templates(*folders: Path) -> Environment:
    """Templates of these folders and of this page, in one style.

    Args:
        folders: Where templates are looked for first.
    """
    environment = Environment(
        loader=FileSystemLoader([*folders, TEMPLATES]), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters.update(day=day)
    return environment


def chart(name: Group, changes: list[Change]) -> Chart:
    """The chart of a group.

    Args:
        name: The group.
        changes: All measures; those of other groups are left out.
    """
    own = [change for change in changes if change.now.group == name]
    numbers = [
        number
        for change in own
        for number in (
            change.now.maximum,
            change.now.goal or 0,
            change.now.limit or 0,
            change.earlier.median if change.earlier else 0,
        )
    ]
    unit = own[0].now.unit
    steps = scale(max(numbers))
    top = steps[-1]

    def place(number: float) -> float:
        return round(100 * number / top, 2)

    bars = tuple(
        Bar(
            measure=change.now,
            width=place(change.now.median),
            low=place(change.now.minimum),
            high=place(change.now.maximum),
            dots=tuple(map(place, change.now.samples)),
            goal=None if change.now.goal is None else place(change.now.goal),
            limit=None if change.now.limit is None else place(change.now.limit),
            earlier=place(change.earlier.median) if change.earlier else None,
            label=amount(change.now.median, unit),
        )
        for change in own
    )
    title, subtitle = GROUPS[name]
    spoken = "; ".join(in_words(change.now) for change in own)
    return Chart(name, title, subtitle, spoken, bars, tuple(Mark(place(step), goal_text(step, unit)) for step in steps))


def scale(largest: float) -> list[float]:
    """Round numbers from 0 to at least the largest one, about four steps.

    The step is 1, 2, 2.5 or 5 times a power of ten.
    """
    if largest <= 0:
        return [0, 1]
    rough = largest / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough)
    return [round(step * number, 9) for number in range(math.ceil(largest / step - 1e-9) + 1)]


def in_words(measure: Measure) -> str:
    """A measure as one says it, for those who do not see the chart."""
    text = f"{measure.title}: {amount(measure.median, measure.unit)}"
    if len(measure.samples) > 1:
        low, high = amount(measure.minimum, measure.unit), amount(measure.maximum, measure.unit)
        text += f" in the middle of {len(measure.samples)} runs, from {low} to {high}"
    told = bounds(measure)
    return f"{text}, {told}: {measure.verdict}" if told else text


def bounds(measure: Measure) -> str:
    """Goal and limit; empty where there is neither."""
    pairs = (("goal", measure.goal), ("limit", measure.limit))
    return ", ".join(f"{name} {goal_text(value, measure.unit)}" for name, value in pairs if value is not None)


def day(date: str) -> str:
    """An ISO date as people read it."""
    return datetime.fromisoformat(date).strftime("%Y-%m-%d, %H:%M UTC")
