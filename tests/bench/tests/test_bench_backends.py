# SPDX-License-Identifier: Apache-2.0
"""The benchmark of backends: turns, ratios, goals, the page, and what a broken contender does."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from bench.backends import measure, page
from bench.backends.contenders import Contender, Ground, Running
from bench.backends.matches import MATCHES, Match, Way, choose
from bench.backends.report import BackendsReport, Measure, Memory, Section, Series
from bench.report import Machine
from cowabunga.errors import JobError, UsageError

WORKER = """
import sys
from bench.backends.workers.loop import serve

def work(number, rate):
    if number == 3:
        raise SystemExit("it broke")
    print("libraries may print")
    return rate * (number + 2)

serve({"work": lambda number: work(number, float(sys.argv[1]))})
"""


@pytest.fixture
def match(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Match:
    """Two contenders, of which ours does twice as much."""
    monkeypatch.setenv("COWABUNGA_HOME", str(tmp_path))
    (tmp_path / "worker.py").write_text(WORKER)
    monkeypatch.setattr("bench.backends.contenders.WORKERS", "placed")
    (tmp_path / "placed").mkdir()
    (tmp_path / "worker.py").rename(tmp_path / "placed" / "worker.py")

    def contender(key: str, rate: str) -> Contender:
        def start(ground: Ground) -> Running:
            worker = ground.work(key, Path(sys.executable), [tmp_path], "worker", rate)
            return Running(worker, worker.pid, 1)

        return Contender(key, key.title(), start)

    ways = (Way("alone", "works/s", "work", lambda number: {"number": number}, goal=1.5),)
    return Match("thing", "Work", "all equal", (contender("ours", "20"), contender("peer", "10")), ways, ())


def test_every_round_asks_everybody_and_the_first_counts_for_nothing(match: Match) -> None:
    section = measure.take(match, 2, {})
    (found,) = section.measures
    assert [series.samples for series in found.series] == [(40.0, 60.0), (20.0, 30.0)]
    assert found.ratio(found.peers[0]).median == 2
    assert found.met(found.peers[0])
    assert [one.peak > 1_000_000 for one in section.memory] == [True, True]


def test_a_contender_that_breaks_ends_the_run_with_what_it_said(match: Match) -> None:
    with pytest.raises(JobError, match=r"(?s)asking peer ended with 1:.*it broke"):
        measure.take(match, 5, {})


@pytest.fixture
def report() -> BackendsReport:
    """A report with a goal that is missed."""
    series = (Series(contender="ours", samples=(8.0, 9.0, 10.0)), Series(contender="peer", samples=(10.0, 10.0, 10.0)))
    rows = (
        Measure(title="1 client", unit="tokens/s", series=series, goal=0.95),
        Measure(title="4 clients", unit="tokens/s", series=series, goal=0.9),
    )
    memory = (Memory(contender="ours", idle=50_000_000, peak=90_000_000), Memory(contender="peer", idle=1, peak=2))
    section = Section(
        service="thing",
        title="Things",
        about="A model & its <threads>.",
        contenders={"ours": "ours", "peer": "a peer"},
        measures=rows,
        memory=memory,
    )
    machine = Machine(cores=2, cpu="A <processor>", memory=8 << 30, kernel="Linux 6", load=0.1)
    return BackendsReport(date="2026-01-02T03:04:05", machine=machine, versions={}, rounds=3, sections=(section,))


def test_a_missed_goal_is_told(report: BackendsReport) -> None:
    assert report.missed == ["thing, 1 client: 0.90 × a peer, goal 0.95 ×"]


def test_the_page_needs_no_network_and_tells_everything(report: BackendsReport) -> None:
    text = page.render(report)
    assert "goal not met" in text
    assert "goal met" in text
    assert "A model &amp; its &lt;threads&gt;." in text
    assert "90 MB" in text
    assert not re.search(r"(?:src|href)=|url\(|@import", text)


def test_what_is_written_is_read(report: BackendsReport) -> None:
    assert BackendsReport.model_validate_json(report.model_dump_json()) == report


def test_a_service_that_nobody_meets_lists_the_others() -> None:
    with pytest.raises(UsageError, match="'repeater' is measured against nobody") as refused:
        choose(["repeater"])
    assert ", ".join(MATCHES) in refused.value.hint


def test_every_way_of_asking_has_arguments() -> None:
    for name in MATCHES:
        (match,) = choose([name])
        assert match.contenders[0].key == "ours"
        for way in match.ways:
            assert way.arguments(0)


def test_versions_of_what_is_measured_are_those_of_the_locks() -> None:
    for name in MATCHES:
        (match,) = choose([name])
        assert match.versions
        assert all(version[0].isdecimal() for version in match.versions.values())
