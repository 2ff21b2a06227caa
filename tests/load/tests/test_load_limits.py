# SPDX-License-Identifier: Apache-2.0
"""Limits: what thresholds.yaml may say, and what breaks it."""

from __future__ import annotations

from pathlib import Path

import pytest

from load.limits import LimitsError, Measured, Memory, broken, read

FILE = Path(__file__).parents[1] / "thresholds.yaml"
GOOD = Measured(
    scenario="chat",
    clients=32,
    seconds=10,
    requests=4000,
    failures=0,
    errors={},
    requests_per_second=400,
    p50_ms=60,
    p95_ms=100,
    p99_ms=150,
    max_ms=300,
    first_token_p95_ms=None,
)
SMALL = {name: Memory(before_mb=80, after_mb=85) for name in ("gateway", "backend")}


def told(measured: Measured, memory: dict[str, Memory] = SMALL) -> list[str]:
    return list(broken(read(FILE, "repeater"), [measured], memory))


def test_good_figures_break_nothing() -> None:
    assert told(GOOD) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"p50_ms": 151.0}, "chat: p50_ms: 151 ms, expected at most 150"),
        ({"p99_ms": 801.0}, "chat: p99_ms: 801 ms, expected at most 800"),
        ({"requests_per_second": 199.0}, "chat: requests_per_second: 199.0, expected at least 200"),
        (
            {"failures": 1, "errors": {"status 503: full": 1}},
            "chat: error_ratio: 1 of 4000 answers failed, expected at most 0 of all: 1 x status 503: full",
        ),
        ({"requests": 0}, "chat: nothing was answered in 10 s"),
        (
            {"scenario": "chat-stream", "first_token_p95_ms": None},
            "chat-stream: first_token_p95_ms: none, expected at most 500",
        ),
    ],
)
def test_what_breaks_a_limit_is_told_with_both_figures(change: dict[str, object], message: str) -> None:
    assert told(GOOD.model_copy(update=change)) == [message]


def test_memory_has_two_limits() -> None:
    grown = {**SMALL, "gateway": Memory(before_mb=150, after_mb=201)}
    assert told(GOOD, grown) == [
        "gateway: most_mb: 201 MB, expected at most 200",
        "gateway: growth_mb: 51 MB, expected at most 30",
    ]


def test_a_service_without_limits_has_those_of_default() -> None:
    assert read(FILE, "whatever") == read(FILE, "default")
    assert read(FILE, "repeater") != read(FILE, "default")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "thresholds.yaml: expected a mapping of services to limits"),
        ("other: {}", "thresholds.yaml: expected limits of 'repeater' or of 'default', got other"),
        ("a: [", "thresholds.yaml: not valid YAML"),
    ],
)
def test_a_wrong_file_is_refused(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "thresholds.yaml"
    file.write_text(text)
    with pytest.raises(LimitsError) as refused:
        read(file, "repeater")
    assert message in str(refused.value)


def test_a_wrong_field_is_named_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "thresholds.yaml"
    file.write_text(FILE.read_text().replace("error_ratio: 0, requests_per_second: 40", "error_rate: 0"))
    with pytest.raises(LimitsError) as refused:
        read(file, "repeater")
    lines = str(refused.value).splitlines()
    assert any("repeater.scenarios.chat-stream.error_rate: Extra inputs are not permitted" in line for line in lines)
    assert any("repeater.scenarios.chat-stream.error_ratio: Field required" in line for line in lines)
