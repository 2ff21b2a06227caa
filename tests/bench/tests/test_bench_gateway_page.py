# SPDX-License-Identifier: Apache-2.0
"""The page of gateways holds everything itself, says all figures, and draws to scale."""

from __future__ import annotations

import re

import pytest

from bench.gateway.goals import judge
from bench.gateway.page import LATENCY, LEFT, RATE, RIGHT, chart, decades, duration, rate, render
from bench.gateway.report import GatewayReport, Memory, TargetReport
from bench.report import Machine
from bench.tests.outline import Outline
from bench.tests.test_bench_gateway_report import cell

KEYS = ("echo", "api", "litellm")


@pytest.fixture
def found() -> GatewayReport:
    """A report as a run leaves it."""
    cells = [
        cell(key, rate, stream=stream, clients=clients, added=None if key == "echo" else 0.0007)
        for stream in (False, True)
        for clients in (1, 16)
        for key, rate in zip(KEYS, (40_000, 3_000, 75), strict=True)
    ]
    targets = [
        TargetReport(
            key=key,
            title=f"<{key}>",
            base=None if key == "echo" else "echo",
            version="1.2.3" if key == "litellm" else "",
            note="",
            memory=Memory(idle=50_000_000, after=60_000_000, peak=70_000_000),
        )
        for key in KEYS
    ]
    return GatewayReport(
        date="2026-01-02T03:04:05+00:00",
        machine=Machine(cores=2, cpu="A & B", memory=8 * 1024**3, kernel="Linux 6.1", load=0.1),
        versions={"python": "3.11"},
        rounds=1,
        seconds=5,
        targets=tuple(targets),
        cells=tuple(cells),
        goals=judge(cells),
    )


def test_the_page_asks_nothing_of_a_network(found: GatewayReport) -> None:
    page = render(found)
    assert not Outline(page).tags & {"script", "link", "img", "iframe"}
    assert not re.search(r"https?:|@import|url\(|src=", page)


def test_the_page_is_well_formed_and_its_charts_are_labelled(found: GatewayReport) -> None:
    outline = Outline(render(found))
    assert outline.open == []
    assert len(outline.ids) == len(set(outline.ids))
    assert len(outline.labels) == 2 * 9
    assert set(outline.labels) <= set(outline.ids)


def test_figures_and_goals_are_said(found: GatewayReport) -> None:
    words = Outline(render(found)).words
    for text in (
        "3,000",
        "700 µs",
        "1.70 ms",
        "70 MB",
        "40.00 ×",
        "at least 20 ×",
        "goal not met",
        "1.2.3",
        "16 clients",
    ):
        assert text in words
    assert words.count("goal met") == 2
    assert "<api>: 3,000 with 1 client, 3,000 with 16 clients" in words


def test_places_are_on_a_logarithmic_scale(found: GatewayReport) -> None:
    drawn = chart("x", RATE, found.targets, [one for one in found.cells if not one.stream])
    assert [tick.text for tick in drawn.ticks] == ["10", "100,000"] or len(drawn.ticks) > 2
    first, last = drawn.ticks[0].at, drawn.ticks[-1].at
    assert (first, last) == (LEFT, RIGHT)
    echo, ours, _ = (strip.points[0].at for strip in drawn.strips)
    assert LEFT < ours < echo < RIGHT


def test_a_target_without_the_metric_has_no_line(found: GatewayReport) -> None:
    drawn = chart("x", LATENCY, found.targets, [one for one in found.cells if one.target == "api"])
    assert [strip.title for strip in drawn.strips] == ["<api>"]


@pytest.mark.parametrize(
    ("numbers", "steps"), [([75, 40_000], [10, 100, 1000, 10_000, 100_000]), ([10], [10, 100]), ([], [1, 10])]
)
def test_decades_enclose_the_numbers(numbers: list[float], steps: list[float]) -> None:
    assert decades(numbers) == steps


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0000785, "78.5 µs"),
        (0.00099951, "1.00 ms"),
        (0.0123, "12.3 ms"),
        (0.5, "500 ms"),
        (1.5, "1.50 s"),
        (0, "0.00 µs"),
    ],
)
def test_times_show_three_digits_in_their_unit(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_small_rate_keeps_its_digits() -> None:
    assert (rate(15.26), rate(12_345)) == ("15.3", "12,345")
