# SPDX-License-Identifier: Apache-2.0
"""Measures are taken by running a launcher; here it is one that only pretends."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench import launcher, measure, sandbox
from bench.launcher import Launcher
from cowabunga import engine
from cowabunga.dagger import RUNNER_HOST
from cowabunga.errors import DiskFullError, JobError

Calls = Callable[[], list[str]]
Fail = Callable[[str, int], None]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with a tool, an image and an engine's storage."""
    home = tmp_path / "cache"
    for kind in ("tool-dagger", "image-python", "engine-root", "venv", "engine", "registry"):
        (home / kind).mkdir(parents=True)
    (home / "tool-dagger" / "dagger").touch()
    monkeypatch.setenv("COWABUNGA_HOME", str(home))
    return home


@pytest.fixture
def interrupts() -> Iterator[None]:
    """As __main__ sets them: an ended benchmark ends like Ctrl-C."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    yield
    signal.signal(signal.SIGTERM, before)


def test_all_measures_are_taken_in_the_order_of_the_page(pretended: Launcher, cache: Path) -> None:
    taken = measure.take(measure.Plan(repeats=2), pretended, cache)
    found = taken.measures
    assert taken.failures == ()
    assert [(item.key, len(item.samples)) for item in found] == [
        ("build-all.cold", 1),
        ("build-all.unchanged", 2),
        ("build-all.changed", 2),
        ("image.api", 1),
        ("image.repeater", 1),
        ("package.repeater", 1),
    ]
    assert [item.limit for item in found] == [None, None, None, 90e6, 60e6, 20e6]
    assert found[-1].samples == (1000,)


def test_what_is_left_out_is_not_run(pretended: Launcher, cache: Path, calls: Calls) -> None:
    measure.take(measure.Plan(1, cold=False, package=False), pretended, cache)
    assert not [call for call in calls() if call.startswith(("engine", "dagger"))]


def test_what_fails_leaves_the_other_measures(pretended: Launcher, cache: Path, failing: Fail) -> None:
    failing("engine", 6)
    taken = measure.take(measure.Plan(1), pretended, cache)
    assert [(failure.part, failure.error.exit_code) for failure in taken.failures] == [("cold build-all", 6)]
    assert [found.group for found in taken.measures] == ["warm", "warm", "images", "images", "packages"]


def test_without_a_first_build_nothing_is_measured(pretended: Launcher, cache: Path, failing: Fail) -> None:
    failing("build-all", 5)
    with pytest.raises(DiskFullError):
        measure.take(measure.Plan(1), pretended, cache)


def test_the_users_files_stay_as_they_are(pretended: Launcher, tmp_path: Path) -> None:
    source = pretended.checkout / "services/repeater/src/repeater/__init__.py"
    before = source.read_text()
    pretended.build_all(tmp_path / "out")
    measure.changed(pretended, tmp_path / "out", 3)
    assert source.read_text() == before


def test_a_change_that_reaches_no_build_is_a_failure(
    pretended: Launcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox.ChangingLine, "change", lambda self, text: None)
    with pytest.raises(JobError, match="did not make repeater be built anew"):
        measure.changed(pretended, tmp_path / "out", 1)


def test_an_unchanged_build_that_was_not_cached_is_noted(pretended: Launcher, tmp_path: Path) -> None:
    assert (
        "Not from the cache, though unchanged: api, repeater" in measure.unchanged(pretended, tmp_path / "out", 1).note
    )
    assert "Not from the cache" not in measure.unchanged(pretended, tmp_path / "out", 1).note


def test_a_failure_keeps_its_exit_code_and_shows_what_was_said(
    pretended: Launcher, tmp_path: Path, failing: Fail
) -> None:
    failing("build-all", 5)
    with pytest.raises(DiskFullError, match=r"build-all .* ended with 5:\n    it is broken"):
        pretended.build_all(tmp_path / "out")


def test_the_empty_cache_has_the_tools_but_no_engine_storage(pretended: Launcher, cache: Path) -> None:
    with sandbox.empty_cache(cache, pretended) as home:
        assert sorted(path.name for path in home.iterdir()) == ["engine-root", "image-python", "tool-dagger", "venv"]
        assert (home / "tool-dagger").is_symlink()


def test_a_cache_that_is_not_empty_makes_no_cold_build(
    pretended: Launcher, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretended.build_all(cache / "out")
    monkeypatch.setattr(Launcher, "with_cache", lambda self, home: self)
    with pytest.raises(JobError, match="api, repeater in its cache"):
        measure.cold(pretended, cache / "out", cache)


@pytest.mark.parametrize("broken", ["", "build-all", "engine"])
def test_the_private_engine_is_stopped_and_removed_whatever_happens(
    pretended: Launcher, cache: Path, calls: Calls, failing: Fail, broken: str
) -> None:
    failing(broken, 6)
    if broken:
        with pytest.raises(Exception, match="ended with 6"):
            measure.cold(pretended, cache / "out", cache)
    else:
        measure.cold(pretended, cache / "out", cache)
    down = calls()[-1].split("|")
    assert down[0] == "engine down"
    assert Path(down[1]).parent == cache / "tmp"
    assert list((cache / "tmp").iterdir()) == []
    assert (cache / "tool-dagger" / "dagger").exists()


def test_what_a_killed_benchmark_left_is_removed_first(pretended: Launcher, cache: Path, calls: Calls) -> None:
    leftover = cache / "tmp" / "bench-killed"
    leftover.mkdir(parents=True)
    with sandbox.empty_cache(cache, pretended):
        assert calls() == [f"engine down|{leftover}"]
        assert not leftover.exists()


@pytest.mark.usefixtures("interrupts")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_the_build_and_removes_the_engine(
    pretended: Launcher, cache: Path, tmp_path: Path, calls: Calls, number: signal.Signals
) -> None:
    slow = Launcher(pretended.checkout, {**pretended.environment, "PRETEND_SECONDS": "60"}, pretended.log)

    def interrupt() -> None:
        deadline = time.monotonic() + 30
        while not any(call.startswith("build-all") for call in calls()) and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=interrupt)
    thread.start()
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        measure.cold(slow, tmp_path / "out", cache)
    thread.join()
    assert time.monotonic() - begun < 30
    assert calls()[-1].startswith("engine down|")
    assert list((cache / "tmp").iterdir()) == []


def test_children_get_a_persons_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"PYTHONPATH": "x", RUNNER_HOST: engine.address(), "HOME": "/h"}
    assert launcher.environment_of_a_person(own) == {"HOME": "/h"}
    other = {RUNNER_HOST: "tcp://elsewhere:1"}
    assert launcher.environment_of_a_person(other) == other


def test_a_private_cache_never_uses_another_engine(pretended: Launcher, tmp_path: Path) -> None:
    lent = Launcher(pretended.checkout, {RUNNER_HOST: "tcp://elsewhere:1"}, pretended.log)
    assert dict(lent.with_cache(tmp_path).environment) == {"COWABUNGA_HOME": str(tmp_path), "COWABUNGA_ENGINE": "own"}
