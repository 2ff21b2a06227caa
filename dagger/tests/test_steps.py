# SPDX-License-Identifier: Apache-2.0
"""Steps side by side."""

from __future__ import annotations

import anyio
import pytest

from cowabungaai.errors import BuildError, StepError
from cowabungaai.report import LeftOut
from cowabungaai.steps import for_each


def test_results_come_in_the_order_of_the_names() -> None:
    async def action(name: str) -> str:
        await anyio.sleep(0.02 if name == "a" else 0)
        return name.upper()

    assert anyio.run(for_each, "build", ["a", "b"], action) == {"a": "A", "b": "B"}


def test_all_failures_are_told_and_the_others_are_finished() -> None:
    finished = []

    async def action(name: str) -> None:
        if name != "b":
            raise BuildError(f"no {name}")
        await anyio.sleep(0.02)
        finished.append(name)

    with pytest.raises(StepError) as caught:
        anyio.run(for_each, "build", ["a", "b", "c"], action)
    assert str(caught.value) == "no a\nno c\nbuild: nothing wrong with b"
    assert finished == ["b"]


def test_what_was_left_out_is_not_among_what_went_well() -> None:
    async def action(name: str) -> LeftOut | None:
        if name == "a":
            raise BuildError("no a")
        return LeftOut(service=name, reason="no room") if name == "b" else None

    with pytest.raises(StepError) as caught:
        anyio.run(for_each, "build", ["a", "b", "c"], action)
    assert str(caught.value) == "no a\nbuild: left out b: no room\nbuild: nothing wrong with c"


def test_no_more_are_at_it_at_once_than_said() -> None:
    at_it, most = 0, 0

    async def action(name: str) -> None:
        nonlocal at_it, most
        at_it += 1
        most = max(most, at_it)
        await anyio.sleep(0.01)
        at_it -= 1

    anyio.run(for_each, "test", ["a", "b", "c", "d"], action, 2)
    assert most == 2
