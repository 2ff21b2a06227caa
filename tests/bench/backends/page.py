# SPDX-License-Identifier: Apache-2.0
"""The page of a run: charts and figures in one file that needs no network."""

from __future__ import annotations

from pathlib import Path

from bench.backends.report import BackendsReport, Measure, Section
from bench.gateway.page import RIGHT, Chart, Point, Strip, megabytes, rate
from bench.page import Mark, scale, templates

LEFT = 41.0
"""Where charts begin, in percent of the width: names like "faster-whisper, bare, idle" stand before them."""
GATEWAY = Path(__file__).parents[1] / "gateway"


def render(report: BackendsReport) -> str:
    """The page as HTML.

    Args:
        report: What was measured.
    """
    environment = templates(Path(__file__).parent, GATEWAY)
    environment.filters.update(rate=rate, megabytes=megabytes)
    return environment.get_template("backends.html.j2").render(
        report=report,
        sections=[(section, [*charts(section), memory(section)]) for section in report.sections],
        left=LEFT,
        right=RIGHT,
    )


def charts(section: Section) -> list[Chart]:
    """A chart for each way of asking.

    Args:
        section: A service and its peers.
    """
    return [_rates(section, number, measure) for number, measure in enumerate(section.measures)]


def _rates(section: Section, number: int, measure: Measure) -> Chart:
    steps = scale(max(one.figure.high for one in measure.series))
    points = tuple(
        Point(
            section.contenders[one.contender],
            _at(one.figure.median, steps),
            _at(one.figure.low, steps),
            _at(one.figure.high, steps),
            rate(one.figure.median),
        )
        for one in measure.series
    )
    subtitle = f"{measure.unit}; further right is better."
    return _chart(
        f"{section.service}-{number}",
        measure.title,
        subtitle,
        points,
        [Mark(_at(step, steps), rate(step)) for step in steps],
    )


def memory(section: Section) -> Chart:
    """The chart of memory.

    Args:
        section: A service and its peers.
    """
    steps = scale(max(one.peak for one in section.memory))
    points = tuple(
        Point(f"{section.contenders[one.contender]}, {kind}", at, at, at, megabytes(size))
        for one in section.memory
        for kind, size in (("idle", one.idle), ("peak", one.peak))
        for at in [_at(size, steps)]
    )
    subtitle = "Resident, of the contender's processes. Further left is better."
    ticks = [Mark(_at(step, steps), megabytes(step)) for step in steps]
    return _chart(f"{section.service}-memory", "Memory", subtitle, points, ticks)


def _chart(name: str, title: str, subtitle: str, points: tuple[Point, ...], ticks: list[Mark]) -> Chart:
    spoken = ", ".join(f"{point.name} {point.text}" for point in points)
    # As many as stand beside each other on a narrow page.
    few = ticks if sum(len(tick.text) for tick in ticks) < 18 else ticks[::2]
    return Chart(name, title, subtitle, spoken, (Strip("", points),), tuple(few))


def _at(number: float, steps: list[float]) -> float:
    return round(LEFT + (RIGHT - LEFT) * number / steps[-1], 2)
