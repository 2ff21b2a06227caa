# SPDX-License-Identifier: Apache-2.0
"""Failures of other programs are told by their cause."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cowabunga.errors import CowabungaError, DiskFullError, HostError, JobError, MirrorError
from cowabunga.process import classify, need, run_logged


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("dial tcp 127.0.0.1:9: connect: connection refused", MirrorError),
        ("write /x: no space left on device", DiskFullError),
        ("E: Temporary failure resolving 'mirror'", MirrorError),
        ("main.go:3:1: syntax error", JobError),
    ],
)
def test_cause_is_read_from_the_output(text: str, kind: type[CowabungaError]) -> None:
    assert classify(text) is kind


def test_failure_holds_the_last_lines_and_the_log(home: Path) -> None:
    log = home / "x.log"
    script = "print('first'); print('the reason'); raise SystemExit(3)"
    with pytest.raises(JobError, match="exit code 3") as caught:
        run_logged([sys.executable, "-c", script], log, "the step")
    assert "the reason" in caught.value.message
    assert str(log) in caught.value.hint


def test_missing_program_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HostError, match="no-such-program"):
        need("no-such-program")
