# SPDX-License-Identifier: Apache-2.0
"""What is started is waited for, observed, and ended with all its children."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from bench import probe
from bench.gateway.targets import Running
from bench.processes import Fleet, accepts
from cowabunga.errors import JobError
from shared.ports import free_port

# Ends only when killed, and so does its child.
STUBBORN = """
import pathlib, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path(sys.argv[1]).write_text(str(child.pid))
time.sleep(600)
"""


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not yet collected does not."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_everything_ends_with_the_fleet_also_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.processes.GRACE_SECONDS", 0.2)
    noted = tmp_path / "child"
    with suppress(KeyboardInterrupt), Fleet(tmp_path, os.environ) as fleet:
        started = fleet.start("stubborn", [sys.executable, "-c", STUBBORN, noted])
        started.until(lambda: noted.exists() and noted.read_text() != "")
        child = int(noted.read_text())
        assert probe.family(started.pid) == [started.pid, child]
        raise KeyboardInterrupt
    deadline = time.monotonic() + 10
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(child)
    assert not alive(started.pid)


def test_one_that_ends_as_it_starts_is_told_with_what_it_said(tmp_path: Path) -> None:
    with Fleet(tmp_path, os.environ) as fleet:
        started = fleet.start("broken", [sys.executable, "-c", "print('no port'); raise SystemExit(3)"])
        with pytest.raises(JobError, match=r"broken ended with 3 as it started:\n    no port") as raised:
            started.until(lambda: False)
        assert str(tmp_path / "bench-gateway-broken.log") in raised.value.hint


def test_one_that_has_ended_is_told_when_it_is_to_be_observed(tmp_path: Path) -> None:
    with Fleet(tmp_path, os.environ) as fleet:
        started = fleet.start("brief", ["echo", "that was all"])
        started.process.wait(10)
        with pytest.raises(JobError, match="brief has ended with 0:\n    that was all"):
            _ = Running(started, "http://127.0.0.1:1/v1").pids


def test_one_that_never_answers_is_told(tmp_path: Path) -> None:
    with Fleet(tmp_path, os.environ) as fleet:
        started = fleet.start("silent", ["sleep", "60"])
        with pytest.raises(JobError, match="silent does not answer after 0 s"):
            started.until(lambda: False, seconds=0.3)


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    with Fleet(tmp_path, os.environ) as fleet, pytest.raises(JobError, match=r"gone cannot be started: /no/such"):
        fleet.start("gone", ["/no/such"])


def test_no_proxy_reaches_what_is_measured(tmp_path: Path) -> None:
    with Fleet(tmp_path, {**os.environ, "HTTP_PROXY": "http://p.invalid", "https_proxy": "http://p.invalid"}) as fleet:
        started = fleet.start("env", ["env"], {"ADDED": "1"})
        assert started.process.wait(10) == 0
    said = started.log.read_text()
    assert "p.invalid" not in said
    assert "ADDED=1" in said


def test_cpu_time_and_memory_are_read() -> None:
    before = probe.read(os.getpid())
    begun = time.monotonic()
    while time.monotonic() - begun < 0.2:
        pass
    after = probe.read(os.getpid())
    assert 0.05 < after.cpu - before.cpu < 5
    assert 0 < after.resident <= after.peak


def test_a_process_that_is_gone_is_an_error() -> None:
    with pytest.raises(OSError, match="No such file"):
        probe.read(2**30)


def test_a_free_port_is_free() -> None:
    assert not accepts(free_port())
