# SPDX-License-Identifier: Apache-2.0
"""The report of a release: what it reads, when it passes, and its page."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cowabungaai.errors import ReleaseError
from cowabungaai.release_page import duration, render
from cowabungaai.release_report import STAGES, ReleaseReport, check, collect, judge

NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
DIGEST = "sha256:" + "a" * 64
SERVICES = ("api", "repeater")
BUDGETS = {("api", "cpu"): 80_000_000, ("repeater", "cpu"): 40_000_000}
Write = Callable[[str, Any], None]


def suite(name: str, **changes: object) -> dict[str, object]:
    return {
        "name": name,
        "passed": True,
        "tests": 12,
        "failures": 0,
        "skipped": 2,
        "seconds": 61.5,
        **changes,
    }


def target(name: str, **changes: object) -> dict[str, object]:
    found = {"CRITICAL": 0, "HIGH": 0, "MEDIUM": 0, "LOW": 3, "UNKNOWN": 0}
    plain = {"target": name, "passed": True, "system": "debian 13", "packages": 40, "failing": [], "ignored": 0}
    return {**plain, "found": found, "seconds": 4.5, **changes}


def scan(*targets: dict[str, object], **changes: object) -> dict[str, object]:
    return {
        "passed": True,
        "severities": ["CRITICAL", "HIGH"],
        "database_updated_at": NOW.isoformat(),
        "targets": list(targets),
        "expired": [],
        "warnings": [],
        "left_out": [],
        **changes,
    }


def built(name: str, **changes: object) -> dict[str, object]:
    return {
        "service": name,
        "flavor": "cpu",
        "file": f"{name}.tar",
        "image": f"ghcr.io/cowabungaai/{name}:0.1.0",
        "digest": DIGEST,
        "size": 25_000_000,
        "layers": 4,
        "seconds": 12.5,
        "cached": False,
        "drift": [],
        **changes,
    }


def published(name: str, digest: str = DIGEST) -> dict[str, object]:
    place = {
        "registry": "ghcr",
        "reference": f"ghcr.io/awdemos/cowabungaai/{name}@{digest}",
        "tagged": f"ghcr.io/awdemos/cowabungaai/{name}:0.1.0@{digest}",
        "tags": ["0.1.0"],
        "bytes_sent": 25_000_000,
        "requests": 9,
        "failed": 0,
        "seconds": 3.25,
    }
    image = {"service": name, "flavor": "cpu", "version": "0.1.0", "digest": digest, "gates": [], "places": [place]}
    return {"sha": None, "release": True, "seconds": 4.0, "images": [image]}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a result into the folder."""

    def into(file: str, content: Any) -> None:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(content if isinstance(content, str) else json.dumps(content))

    return into


@pytest.fixture
def results(tmp_path: Path, write: Write) -> Path:
    """All that a release needs."""
    left_out = {"service": "vllm", "flavor": "cpu", "file": "vllm.tar", "reason": "it has the flavor gpu alone"}
    rows = [built(name) for name in SERVICES]
    write("dist/build-report.json", {"seconds": 30.0, "services": rows, "left_out": [left_out]})
    write("unit/summary.json", {"passed": True, "suites": [suite(name) for name in SERVICES]})
    for name in SERVICES:
        write(f"unit/{name}/summary.json", suite(name))
        write(f"sbom/{name}.spdx.json", {})
        write(f"sbom/{name}.cdx.json", {})
    write("integration/summary.json", suite("integration"))
    write("conformance/repeater/summary.json", suite("repeater", tests=500))
    write("conformance/repeater/conformance.json", {})
    write("scan/summary.json", scan(*(target(name) for name in SERVICES)))
    write("scan-source/summary.json", scan(target("source", system="")))
    return tmp_path


def report(folder: Path) -> ReleaseReport:
    return judge(collect(folder), BUDGETS, ["repeater"], "0123456789ab", NOW)


def test_a_release_with_everything_passes(results: Path) -> None:
    made = report(results)
    assert (made.state, made.problems) == ("passed", [])
    repeater = made.services[1]
    assert [stage.name for stage in repeater.stages] == list(STAGES)
    assert {stage.name: stage.state for stage in repeater.stages} == {
        "build": "passed",
        "tests": "passed",
        "conformance": "passed",
        "load": "absent",
        "scan": "passed",
        "sbom": "passed",
        "publish": "absent",
    }
    assert repeater.stage("tests").detail == "10 tests, 2 skipped"
    assert repeater.stage("scan").detail == "40 packages, 3 low"
    assert repeater.stage("scan").seconds == 4.5
    # The gateway is no backend, so no conformance run is about it.
    assert made.services[0].stage("conformance").detail == "no backend"
    assert collect(results).tests_passed == 3 * 10 + 498


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        (
            "unit/summary.json",
            {"passed": False, "suites": [suite("api"), suite("repeater", passed=False, failures=1)]},
            "repeater: tests: 1 of 12 failed",
        ),
        ("integration/summary.json", suite("integration", passed=False), "integration: ended early"),
        (
            "integration/summary.json",
            suite("integration", passed=False, skipped=12),
            "integration: no test ran, 12 skipped",
        ),
        (
            "scan/summary.json",
            scan(target("api", passed=False, found={"HIGH": 2}), target("repeater")),
            "api: scan: 40 packages, 2 high",
        ),
        (
            "scan/summary.json",
            scan(target("api"), target("repeater"), passed=False, expired=["ignore.yaml:3: over"]),
            "accepted longer than allowed: ignore.yaml:3: over",
        ),
        (
            "dist/build-report.json",
            {"seconds": 1.0, "services": [built("api", size=80_000_001), built("repeater")]},
            "api: 80000001 bytes, 80000000 are allowed",
        ),
        (
            "published.json",
            published("api", "sha256:" + "b" * 64),
            f"api: sha256:{'b' * 64} was published, but {DIGEST} was built",
        ),
        (
            "load.json",
            {"service": "repeater", "passed": False, "broken": ["chat: p50_ms: 9 ms"], "scenarios": []},
            "repeater: load: chat: p50_ms: 9 ms",
        ),
    ],
)
def test_what_failed_fails_the_release_and_is_told(
    results: Path, write: Write, file: str, content: object, problem: str
) -> None:
    # The summary of all is the one that counts for a service's tests.
    for name in SERVICES:
        (results / "unit" / name / "summary.json").unlink()
    write(file, content)
    made = report(results)
    assert made.state == "failed"
    assert problem in made.problems


@pytest.mark.parametrize(
    ("gone", "problem"),
    [
        ("integration/summary.json", "integration was not run"),
        ("scan/summary.json", "scan was not run of api, repeater"),
        ("scan-source/summary.json", "scan of sources was not run"),
        ("conformance/repeater/summary.json", "conformance was not run of repeater"),
        ("sbom/api.cdx.json", "sbom was not run of api"),
    ],
)
def test_what_was_not_run_makes_it_incomplete(results: Path, gone: str, problem: str) -> None:
    (results / gone).unlink()
    made = report(results)
    assert (made.state, made.problems) == ("incomplete", [problem])


def test_only_a_release_that_passed_is_let_through(results: Path, write: Write) -> None:
    check(report(results))
    (results / "integration/summary.json").unlink()
    (results / "scan-source/summary.json").unlink()
    with pytest.raises(ReleaseError) as raised:
        check(report(results))
    not_run = ["integration was not run", "scan of sources was not run"]
    assert str(raised.value).splitlines() == ["the release is incomplete:", *not_run]
    write("load.json", {"service": "repeater", "passed": False, "broken": ["chat: p50_ms: 9 ms"], "scenarios": []})
    with pytest.raises(ReleaseError) as raised:
        check(report(results))
    failed = "repeater: load: chat: p50_ms: 9 ms"
    assert str(raised.value).splitlines() == ["the release is failed:", failed, *not_run]


def test_a_release_without_a_build_has_no_report(results: Path) -> None:
    (results / "dist" / "build-report.json").unlink()
    with pytest.raises(ReleaseError, match=r"no build-report\.json below .*; `build-all` leaves one"):
        collect(results)


def test_a_file_that_is_none_is_named(results: Path, write: Write) -> None:
    write("scan/summary.json", {"targets": [{}]})
    with pytest.raises(ReleaseError, match=r"scan/summary\.json: not as its function leaves it"):
        collect(results)


def test_results_of_two_runs_are_refused(results: Path, write: Write) -> None:
    write("old/summary.json", suite("integration", seconds=1.0))
    with pytest.raises(ReleaseError, match="there are two integration tests that differ"):
        collect(results)


def test_a_test_run_that_failed_is_not_hidden_by_another(results: Path, write: Write) -> None:
    write("again/summary.json", suite("api", passed=False, failures=1))
    with pytest.raises(ReleaseError, match="there are two runs of the unit tests of api that differ"):
        collect(results)


def test_what_a_machine_could_not_build_makes_it_incomplete(results: Path, write: Write) -> None:
    reason = "api (cpu) cannot be built here: no wheel"
    left_out = {"service": "api", "flavor": "cpu", "file": "api.tar", "reason": reason, "lacking": True}
    rows = [built(name) for name in SERVICES if name != "api"]
    write("dist/build-report.json", {"seconds": 30.0, "services": rows, "left_out": [left_out]})
    made = report(results)
    assert (made.state, made.problems) == ("incomplete", [f"api was not built: {reason}"])


def test_results_of_other_sources_are_refused(results: Path, write: Write) -> None:
    write("dist/build-report.json", {"seconds": 30.0, "services": [built("old")]})
    with pytest.raises(ReleaseError, match="of other sources than these, which have no old"):
        report(results)


def test_the_page_shows_every_service_stage_and_problem_and_needs_no_network(results: Path, write: Write) -> None:
    write("published.json", published("api"))
    write("scan/summary.json", scan(target("api", passed=False, found={"HIGH": 2}), target("repeater")))
    page = render(report(results), 528)
    for word in ("api", "repeater", *STAGES, "Failed", "api: scan: 40 packages, 2 high", DIGEST, "528", "12 s"):
        assert word in page
    assert "vllm (cpu) was not built: it has the flavor gpu alone" in page
    assert "ghcr.io/awdemos/cowabungaai/api:0.1.0@" in page
    assert "src=" not in page
    assert "<link" not in page
    assert "<script" not in page


def test_names_are_escaped(results: Path, write: Write) -> None:
    write("load.json", {"service": "repeater", "passed": False, "broken": ["<b>&"], "scenarios": []})
    page = render(report(results), 1)
    assert "<b>&" not in page
    assert "&lt;b&gt;&amp;" in page


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (3725, "62 min 05 s")],
)
def test_durations_are_as_people_write_them(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_packages_are_shown_with_their_sizes_against_their_budgets(results: Path, write: Write) -> None:
    model = {"id": "gemma", "licence": "Gemma", "digest": "0", "image": "models/gemma:1", "size": 250_000_000}
    package = {
        "service": "repeater",
        "flavor": "cpu",
        "variant": "upstream",
        "file": "zarf-package-cowabungaai-repeater-amd64-0.1.0-upstream.tar.zst",
        "version": "0.1.0",
        "size": 270_000_000,
        "image": "ghcr.io/cowabungaai/repeater:0.1.0",
        "image_digest": DIGEST,
        "model": model,
        "budget": 40_000_000,
    }
    write("packages.json", {"packages": [package]})
    found = report(results)
    (shown,) = found.packages
    assert shown.size_without_weights == 20_000_000
    page = render(found, 1)
    assert "20.0 of 40 MB" in page
    assert "gemma, 250.0 MB, licence Gemma" in page
