# SPDX-License-Identifier: Apache-2.0
"""The command: its files, its output, its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench import __main__ as command
from bench import measure
from bench.launcher import Launcher
from bench.report import BenchReport, load
from cowabunga import dagger
from cowabunga.errors import MirrorError


@pytest.fixture(autouse=True)
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of its own, and an engine that needs no preparation."""
    monkeypatch.setenv("COWABUNGA_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv(dagger.RUNNER_HOST, "tcp://elsewhere:1")
    monkeypatch.setattr(dagger, "prepare", lambda: None)


def answers(monkeypatch: pytest.MonkeyPatch, report: BenchReport, **changes: object) -> None:
    """Let the measures be a report's, the last one changed."""
    measures = (*report.measures[:-1], report.measures[-1].model_copy(update=changes))
    monkeypatch.setattr(measure, "take", lambda plan, launcher, cache: measure.Taken(measures, ()))


def test_both_files_are_written_and_a_missed_goal_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, report: BenchReport
) -> None:
    answers(monkeypatch, report)
    done = CliRunner().invoke(command.app, ["--output", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert load(tmp_path / "out" / "bench.json").measures == report.measures
    assert "goal missed" in (tmp_path / "out" / "bench.html").read_text()


def test_an_exceeded_limit_is_a_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, report: BenchReport) -> None:
    answers(monkeypatch, report, samples=(26_000_000,))
    assert CliRunner().invoke(command.app, ["--output", str(tmp_path)]).exit_code == 1


def test_what_could_not_be_measured_is_written_and_gives_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, report: BenchReport
) -> None:
    taken = measure.Taken(report.measures, (measure.Failure("package", MirrorError("no <mirror>")),))
    monkeypatch.setattr(measure, "take", lambda plan, launcher, cache: taken)
    assert CliRunner().invoke(command.app, ["--output", str(tmp_path)]).exit_code == 4
    assert load(tmp_path / "bench.json").failures == {"package": "no <mirror>"}
    assert "no &lt;mirror&gt;" in (tmp_path / "bench.html").read_text()


def test_a_service_that_is_not_there_is_wrong_usage() -> None:
    done = CliRunner().invoke(command.app, ["pipeline", "--service", "no-such"])
    assert done.exit_code == 2
    assert "The services are: api," in done.output


def test_json_alone_goes_to_standard_output(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, report: BenchReport
) -> None:
    answers(monkeypatch, report)
    done = CliRunner().invoke(command.app, ["--output", str(tmp_path), "--json"])
    assert json.loads(done.stdout)["measures"][0]["key"] == "build-all.unchanged"


def test_a_wrong_earlier_file_is_told_before_anything_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(measure, "take", lambda *_: pytest.fail("measured"))
    assert CliRunner().invoke(command.app, ["--compare", str(tmp_path / "none.json")]).exit_code == 2


@pytest.mark.parametrize(("raised", "code"), [(KeyboardInterrupt(), 130), (MirrorError("no mirror"), 4)])
def test_other_ends_have_the_launchers_exit_codes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, raised: BaseException, code: int
) -> None:
    def fail(plan: measure.Plan, launcher: Launcher, cache: Path) -> None:
        raise raised

    monkeypatch.setattr(measure, "take", fail)
    assert CliRunner().invoke(command.app, ["--output", str(tmp_path)]).exit_code == code
    assert not (tmp_path / "bench.json").exists()
