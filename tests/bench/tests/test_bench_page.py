# SPDX-License-Identifier: Apache-2.0
"""The page holds everything itself, says all figures, and draws to scale."""

from __future__ import annotations

import re

import pytest

from bench.page import chart, render, scale
from bench.report import BenchReport, compare
from bench.tests.outline import Outline


def test_the_page_asks_nothing_of_a_network(report: BenchReport) -> None:
    page = render(report, report)
    assert not Outline(page).tags & {"script", "link", "img", "iframe"}
    assert not re.search(r"https?:|@import|url\(|src=", page)


def test_the_page_is_well_formed_and_its_charts_are_labelled(report: BenchReport) -> None:
    outline = Outline(render(report))
    assert outline.open == []
    assert len(outline.ids) == len(set(outline.ids))
    assert outline.labels
    assert set(outline.labels) <= set(outline.ids)


def test_figures_goals_and_verdicts_are_said(report: BenchReport) -> None:
    words = Outline(render(report)).words
    for text in (
        "6.50 s",
        "6.00 s",
        "9.00 s",
        "goal met",
        "21.0 MB",
        "goal missed",
        "goal 20 MB, limit 25 MB",
        "8.0 GiB",
    ):
        assert text in words
    assert "6.50 s in the middle of 3 runs, from 6.00 s to 9.00 s, goal 10 s: goal met" in words


def test_names_from_the_machine_are_escaped(report: BenchReport) -> None:
    assert "A &amp; B &lt;fast&gt;" in render(report)


def test_an_earlier_report_is_set_beside(report: BenchReport) -> None:
    slower = report.measures[0].model_copy(update={"samples": (13.0,)})
    now = report.model_copy(update={"measures": (slower, *report.measures[1:])})
    words = Outline(render(now, report)).words
    assert "× 2.00 worse" in words
    assert "× 1.00" in words
    assert "Earlier" not in Outline(render(report)).words


def test_another_machine_is_warned_of(report: BenchReport) -> None:
    machine = report.machine.model_copy(update={"cores": 64})
    assert "another machine" in render(report, report.model_copy(update={"machine": machine}))
    assert "another machine" not in render(report, report)


def test_bars_goals_and_whiskers_are_drawn_to_scale(report: BenchReport) -> None:
    drawn = chart("warm", compare(report, None))
    (bar,) = drawn.bars
    assert drawn.ticks[-1].text == "10 s"
    assert (bar.low, bar.width, bar.high, bar.goal, bar.limit) == (60, 65, 90, 100, None)
    assert bar.dots == (65, 60, 90)


@pytest.mark.parametrize(
    ("largest", "steps"),
    [(10, [0, 2.5, 5, 7.5, 10]), (163, [0, 50, 100, 150, 200]), (0.3, [0, 0.1, 0.2, 0.3]), (0, [0, 1])],
)
def test_a_scale_has_round_steps_and_reaches_the_largest_number(largest: float, steps: list[float]) -> None:
    assert scale(largest) == steps
