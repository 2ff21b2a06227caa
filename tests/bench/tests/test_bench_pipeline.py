# SPDX-License-Identifier: Apache-2.0
"""The pipeline's measures, by a launcher that only pretends and another way that only tells how long it took."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.launcher import Launcher
from bench.pipeline import measure, predecessor
from cowabunga.errors import HostError

Calls = Callable[[], list[str]]
JOBS = ("build-all", "test-all", "scan-all")


@pytest.fixture(autouse=True)
def others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache, and a database and a predecessor that take no time to make."""

    class Slow:
        def package(self, checkout: Path, service: str) -> float:
            return 1000.0

    @contextmanager
    def ready(folder: Path, zarf: Path) -> Iterator[Slow]:
        yield Slow()

    (tmp_path / "cache").mkdir()
    monkeypatch.setenv("COWABUNGA_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(measure, "build", lambda folder, advisories: folder / "db.tar.gz")
    monkeypatch.setattr(predecessor, "ready", ready)


def test_every_job_is_measured_unchanged_and_changed_and_a_package_beside_the_other_way(
    pretended: Launcher, tmp_path: Path
) -> None:
    taken = measure.take(measure.Plan(2, both_ways=("repeater", "api")), pretended, tmp_path / "cache")
    assert taken.failures == ()
    assert {found.key: len(found.samples) for found in taken.measures} == {
        "module.load": 2,
        **{f"{job}.{when}": 2 for job in JOBS for when in ("unchanged", "changed")},
        **{f"{way}.{name}.changed": 2 for way in ("package", "predecessor") for name in ("repeater", "api")},
    }
    ours = next(found for found in taken.measures if found.key == "package.repeater.changed")
    assert ours.goal == 200
    assert "times as fast" in ours.note


def test_cold_runs_have_a_cache_of_their_own(pretended: Launcher, tmp_path: Path, calls: Calls) -> None:
    plan = measure.Plan(1, cold=True, both_ways=())
    taken = measure.take(plan, pretended, tmp_path / "cache")
    assert [found.key for found in taken.measures][:3] == [f"{job}.cold" for job in JOBS]
    ours = {call.split("|")[1] for call in calls() if call.startswith("engine up")}
    assert len(ours) == 1
    assert str(tmp_path / "cache") not in ours


def test_a_machine_without_docker_has_the_other_measures(
    pretended: Launcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(folder: Path, zarf: Path) -> None:
        raise HostError("no docker", "apt-get install docker.io")

    monkeypatch.setattr(predecessor, "ready", none)
    taken = measure.take(measure.Plan(1), pretended, tmp_path / "cache")
    assert [(failure.part, failure.error.exit_code) for failure in taken.failures] == [("the predecessor's way", 3)]
    assert len(taken.measures) == 7
