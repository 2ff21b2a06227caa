# SPDX-License-Identifier: Apache-2.0
"""The page of a run: charts and figures in one file that needs no network."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.gateway.goals import WAYS
from bench.gateway.report import Cell, Figure, Figures, GatewayReport, Goal, TargetReport
from bench.page import Mark, scale, templates

# Percent of a chart's width: what is left and right of the plot is for words.
LEFT, RIGHT = 25.0, 79.0


@dataclass(frozen=True)
class Metric:
    """A number of every cell that is drawn.

    Attributes:
        title: Of its chart.
        subtitle: What it means.
        choose: The number of a cell; None where the cell has none.
        text: The number as people read it.
        better: Which way is better.
    """

    title: str
    subtitle: str
    choose: Callable[[Figures], Figure | None]
    text: Callable[[float], str]
    better: str


@dataclass(frozen=True)
class Point:
    """A line of a chart; places are in percent of its width.

    Attributes:
        name: Such as "16 clients".
        at: Of the median.
        low: Of the least round.
        high: Of the largest round.
        text: The median as people read it.
    """

    name: str
    at: float
    low: float
    high: float
    text: str


@dataclass(frozen=True)
class Strip:
    """The lines of a target."""

    title: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Chart:
    """Lines of all targets on one scale."""

    name: str
    title: str
    subtitle: str
    description: str
    strips: tuple[Strip, ...]
    ticks: tuple[Mark, ...]


def rate(value: float) -> str:
    """Requests per second in three digits that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def duration(seconds: float) -> str:
    """A time in three digits that count, in the unit that suits it."""
    size = abs(seconds)
    factor, unit = (1.0, "s") if size >= 0.9995 else (1e3, "ms") if size >= 0.0009995 else (1e6, "µs")
    scaled = seconds * factor
    digits = 0 if abs(scaled) >= 99.95 else 1 if abs(scaled) >= 9.995 else 2
    return f"{scaled:.{digits}f} {unit}"


def short(text: str) -> str:
    """A round number without the digits behind its point."""
    number, _, unit = text.partition(" ")
    return f"{float(number):g} {unit}" if "." in number else text


def megabytes(size: float) -> str:
    """Bytes as decimal megabytes."""
    return f"{size / 1e6:.0f} MB"


def goal_value(goal: Goal) -> str:
    """What was found, as people read it."""
    return duration(goal.value) if goal.unit == "seconds" else f"{goal.value:.2f} ×"


def goal_bound(goal: Goal) -> str:
    """The goal as people read it."""
    bound = duration(goal.bound) if goal.unit == "seconds" else f"{goal.bound:.3g} ×"
    return f"{'at least' if goal.at_least else 'at most'} {bound}"


RATE = Metric(
    "Requests per second", "All processes share the cores.", lambda one: one.requests_per_second, rate, "right"
)
CPU = Metric(
    "CPU time for a request", "Of the target's own processes.", lambda one: one.cpu_per_request, duration, "left"
)
LATENCY = Metric("Latency at the median", "From question to whole answer.", lambda one: one.p50, duration, "left")
TAIL = Metric(
    "Latency at the 99th percentile", "One answer in a hundred is later.", lambda one: one.p99, duration, "left"
)
FIRST = Metric(
    "Time to the first token at the median", "From question to first text.", lambda one: one.first_p50, duration, "left"
)
METRICS = {False: (RATE, CPU, LATENCY, TAIL), True: (RATE, CPU, FIRST, TAIL)}


def render(report: GatewayReport) -> str:
    """The page as HTML.

    Args:
        report: What was measured.
    """
    environment = templates(Path(__file__).parent)
    environment.filters.update(
        rate=rate, duration=duration, megabytes=megabytes, goal_value=goal_value, goal_bound=goal_bound
    )
    return environment.get_template("gateway.html.j2").render(
        report=report,
        titles={target.key: target.title for target in report.targets},
        ways=[(stream, way, _charts(report, stream)) for stream, way in WAYS.items()],
        memory=memory(report.targets),
        left=LEFT,
        right=RIGHT,
    )


def _charts(report: GatewayReport, stream: bool) -> list[Chart]:
    name = "streamed" if stream else "whole"
    return [
        chart(f"{name}-{number}", metric, report.targets, [cell for cell in report.cells if cell.stream == stream])
        for number, metric in enumerate(METRICS[stream])
    ]


def chart(name: str, metric: Metric, targets: Sequence[TargetReport], cells: Sequence[Cell]) -> Chart:
    """The chart of a metric, on a logarithmic scale: targets are a thousand times apart.

    Args:
        name: Unique on the page.
        metric: What is drawn.
        targets: In the order of the lines.
        cells: Those that are drawn.
    """
    found = {
        target.title: [
            (cell.clients, chosen)
            for cell in cells
            if cell.target == target.key and (chosen := metric.choose(cell.figures)) is not None
        ]
        for target in targets
    }
    numbers = [
        number
        for lines in found.values()
        for _, one in lines
        for number in (one.low, one.median, one.high)
        if number > 0
    ]
    steps = decades(numbers)
    place = _place(steps)
    strips = tuple(
        Strip(title, tuple(_point(_clients(count), one, place, metric.text) for count, one in lines))
        for title, lines in found.items()
        if lines
    )
    spoken = "; ".join(
        f"{strip.title}: " + ", ".join(f"{point.text} with {point.name}" for point in strip.points) for strip in strips
    )
    ticks = tuple(Mark(place(step), short(metric.text(step))) for step in _few(steps))
    subtitle = f"{metric.subtitle} Logarithmic; further {metric.better} is better."
    return Chart(name, metric.title, subtitle, spoken, strips, ticks)


def _clients(count: int) -> str:
    return f"{count} client{'s' * (count > 1)}"


def _point(name: str, one: Figure, place: Callable[[float], float], text: Callable[[float], str]) -> Point:
    return Point(name, place(one.median), place(one.low), place(one.high), text(one.median))


def decades(numbers: Sequence[float]) -> list[float]:
    """Powers of ten from below the least number to above the largest one; at least two.

    Args:
        numbers: All above 0.
    """
    if not numbers:
        return [1.0, 10.0]
    low = math.floor(math.log10(min(numbers)))
    high = max(math.ceil(math.log10(max(numbers))), low + 1)
    return [10.0**power for power in range(low, high + 1)]


def _few(steps: Sequence[float]) -> Sequence[float]:
    """Not more ticks than a narrow page has room for, always with both ends."""
    return steps if len(steps) <= 4 else steps[:: len(steps) - 1] if len(steps) % 2 == 0 else steps[::2]


def _place(steps: Sequence[float]) -> Callable[[float], float]:
    low, high = math.log10(steps[0]), math.log10(steps[-1])

    def place(number: float) -> float:
        # A time below what the kernel counts is 0, which a logarithm does not have.
        part = (math.log10(number) - low) / (high - low) if number > 0 else 0.0
        return round(LEFT + (RIGHT - LEFT) * min(1.0, max(0.0, part)), 2)

    return place


def memory(targets: Sequence[TargetReport]) -> Chart:
    """The chart of memory, on a linear scale.

    Args:
        targets: In the order of the lines.
    """
    steps = scale(max(target.memory.peak for target in targets))

    def place(size: float) -> float:
        return round(LEFT + (RIGHT - LEFT) * size / steps[-1], 2)

    strips = tuple(
        Strip(
            target.title,
            tuple(
                Point(name, place(size), place(size), place(size), megabytes(size))
                for name, size in (("idle", target.memory.idle), ("peak", target.memory.peak))
            ),
        )
        for target in targets
    )
    spoken = "; ".join(
        f"{strip.title}: " + ", ".join(f"{point.name} {point.text}" for point in strip.points) for strip in strips
    )
    ticks = tuple(Mark(place(step), megabytes(step)) for step in (steps if len(steps) < 6 else steps[::2]))
    subtitle = "Resident, of the target's processes, children included. Further left is better."
    return Chart("memory", "Memory", subtitle, spoken, strips, ticks)
