# SPDX-License-Identifier: Apache-2.0
"""What a report says of its samples, and of an earlier report."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.machine import cpu_model
from bench.report import BenchReport, Measure, amount, compare, goal_text, load
from cowabunga.errors import UsageError


def measure(*samples: float, goal: float | None = None, limit: float | None = None) -> Measure:
    return Measure(key="k", title="t", group="warm", unit="seconds", samples=samples, goal=goal, limit=limit)


def test_the_median_is_not_moved_by_one_disturbed_run() -> None:
    found = measure(6, 60, 7)
    assert (found.minimum, found.median, found.maximum) == (6, 7, 60)


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (measure(9, 20, 10, goal=10), "goal met"),
        (measure(9, 20, 11, goal=10), "goal missed"),
        (measure(9, goal=10, limit=12), "goal met"),
        (measure(11, goal=10, limit=12), "goal missed"),
        (measure(9, 9, 13, goal=10, limit=12), "limit exceeded"),
        (measure(9, limit=12), "within limit"),
        (measure(9), ""),
    ],
)
def test_a_goal_is_for_the_median_and_a_limit_for_every_run(found: Measure, verdict: str) -> None:
    assert found.verdict == verdict


def test_a_report_read_back_is_the_same(report: BenchReport, tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    file.write_text(report.model_dump_json())
    assert load(file) == report
    assert '"schema_version":1' in file.read_text()


@pytest.mark.parametrize(
    ("text", "told"), [("{}", "date"), ("no json", "its start"), ('{"schema_version": 2}', "schema_version")]
)
def test_another_file_is_told_by_name_and_place(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "other.json"
    file.write_text(text)
    with pytest.raises(UsageError, match=r"other\.json is no benchmark report") as raised:
        load(file)
    assert told in raised.value.message


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*none"):
        load(tmp_path / "none")


def test_measures_are_paired_by_key_and_the_ratio_is_of_medians(report: BenchReport) -> None:
    slower = report.measures[0].model_copy(update={"samples": (13.0,)})
    pairs = compare(report.model_copy(update={"measures": (slower, report.measures[1])}), report)
    assert [pair.ratio for pair in pairs] == [2.0, 1.0]
    assert [pair.trend for pair in pairs] == ["worse", ""]


def test_a_new_measure_has_no_ratio(report: BenchReport) -> None:
    earlier = report.model_copy(update={"measures": report.measures[:1]})
    assert [pair.ratio for pair in compare(report, earlier)] == [1.0, None]
    assert [pair.ratio for pair in compare(report, None)] == [None, None]


def test_only_measures_over_their_limit_count_as_exceeded(report: BenchReport) -> None:
    assert report.exceeded == []
    heavy = report.measures[1].model_copy(update={"samples": (25_000_001,)})
    assert report.model_copy(update={"measures": (heavy,)}).exceeded == [heavy]


@pytest.mark.parametrize(
    ("value", "text"), [(6.123, "6.12 s"), (9.996, "10.0 s"), (12.34, "12.3 s"), (99.96, "100 s"), (163.2, "163 s")]
)
def test_seconds_show_three_digits(value: float, text: str) -> None:
    assert amount(value, "seconds") == text


def test_bytes_show_as_decimal_megabytes() -> None:
    assert amount(21_600_000, "bytes") == "21.6 MB"
    assert goal_text(25_000_000, "bytes") == "25 MB"


def test_the_processors_name_is_read_or_its_architecture_taken() -> None:
    assert cpu_model("processor\t: 0\nmodel name\t: Some   CPU\nmodel name\t: Other\n") == "Some CPU"
    assert cpu_model("processor : 0\n")
