# SPDX-License-Identifier: Apache-2.0
"""Who waits for whom where an engine of another toolchain runs."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from cowabunga import console, engine, gotools, store
from cowabunga.paths import run_home


@pytest.fixture(autouse=True)
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Starts of an engine, of which one of another toolchain runs."""
    starts: list[str] = []
    status = engine.Status(True, True, False, 1, "", "", "")
    monkeypatch.setenv("COWABUNGA_HOME", str(tmp_path))
    for name in ("require_engine_host", "prepare_packages", "_require_space"):
        monkeypatch.setattr(engine, name, lambda: None)
    monkeypatch.setattr(engine, "root_key", lambda: "root")
    monkeypatch.setattr(engine, "key", lambda: "key")
    monkeypatch.setattr(engine, "root_directory", lambda: tmp_path)
    monkeypatch.setattr(gotools, "ensure", lambda _: tmp_path)
    monkeypatch.setattr(engine, "status", lambda: status)
    monkeypatch.setattr(engine, "alive", lambda: True)
    monkeypatch.setattr(engine, "_serves", lambda _: bool(starts))

    def start(root: Path, program: Path, wanted: str) -> engine.Status:
        starts.append(wanted)
        return status

    monkeypatch.setattr(engine, "_start_anew", start)
    return starts


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What launchers tell, such as what they wait for."""
    notes: list[str] = []
    monkeypatch.setattr(console, "note", notes.append)
    return notes


def wait_until_waiting(noted: list[str], count: int) -> None:
    """Return once so many wait for those who use the engine."""
    deadline = time.monotonic() + 30
    while noted.count("another launcher is at work on engine-use: waiting for it") < count:
        assert time.monotonic() < deadline, noted
        time.sleep(0.01)


def test_it_is_replaced_once_nobody_uses_it_and_whoever_does_can_still_ask_for_it(
    started: list[str], noted: list[str]
) -> None:
    with engine.in_use():
        other = threading.Thread(target=engine.up)
        other.start()
        wait_until_waiting(noted, 1)
        with store.locked_if_free("engine") as free:
            assert free, "what waits holds nothing that is needed to end"
        assert started == []
    other.join(30)
    assert started == ["root-key"]


def test_a_command_of_who_uses_it_does_not_wait_for_that(started: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with engine.in_use() as held:
        assert held == {engine.HELD_BY: str(run_home())}
        for name, value in held.items():
            monkeypatch.setenv(name, value)
        engine.up()
    assert started == []


def test_two_that_waited_start_one(started: list[str], noted: list[str]) -> None:
    with engine.in_use():
        others = [threading.Thread(target=engine.up) for _ in range(2)]
        for other in others:
            other.start()
        wait_until_waiting(noted, 2)
    for other in others:
        other.join(30)
    assert started == ["root-key"]
