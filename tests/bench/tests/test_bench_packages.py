# SPDX-License-Identifier: Apache-2.0
"""Sizes of packages against their budgets, as packages.json tells them."""

from __future__ import annotations

from bench.packages.measure import sized

MODEL = {"id": "m", "licence": "MIT", "size": 250_000_000}


def test_weights_do_not_count_against_a_budget() -> None:
    found = sized({"service": "whisper", "size": 390_000_000, "budget": 150_000_000, "model": MODEL})
    assert (found.samples, found.goal, found.verdict) == ((140_000_000,), 150_000_000, "goal met")


def test_a_package_over_its_budget_misses_the_goal() -> None:
    found = sized({"service": "api", "size": 60_000_000, "budget": 50_000_000, "model": None})
    assert found.verdict == "goal missed"


def test_a_package_without_budget_has_no_goal() -> None:
    assert sized({"service": "api", "size": 60_000_000, "budget": None, "model": None}).goal is None
