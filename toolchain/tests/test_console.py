# SPDX-License-Identifier: Apache-2.0
"""What people see."""

from __future__ import annotations

from pathlib import Path

import pytest

from cowabunga import console
from cowabunga.errors import JobError


def test_an_error_is_shown_as_it_is_with_its_hint(capsys: pytest.CaptureFixture[str]) -> None:
    console.show_error(JobError("list[int] and [/bold] are kept", "do this"))
    assert capsys.readouterr().err == "✗ list[int] and [/bold] are kept\n  do this\n"


def test_a_step_tells_how_long_the_last_one_took(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    console.remember("thing", 42)
    with console.step("building a thing", "thing"):
        pass
    assert "building a thing, last time 42 s" in capsys.readouterr().err
    assert (console.last_seconds("thing") or 0) < 1


def test_a_failed_step_is_not_remembered(home: Path) -> None:
    with pytest.raises(JobError), console.step("building a thing", "thing"):
        raise JobError("no")
    assert console.last_seconds("thing") is None


def test_damaged_durations_are_no_obstacle(home: Path) -> None:
    home.mkdir()
    (home / "durations.json").write_text("{")
    assert console.last_seconds("thing") is None
    console.remember("thing", 1)
    assert console.last_seconds("thing") == 1
