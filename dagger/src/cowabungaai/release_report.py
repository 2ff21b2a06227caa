# SPDX-License-Identifier: Apache-2.0
"""The report of a release: what the other functions left, held together and judged."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from cowabungaai.errors import ReleaseError
from cowabungaai.package_report import PackageReport, PackagesReport
from cowabungaai.published import PublishedImage, PublishReport
from cowabungaai.pytest_run import TestReport, TestSummary
from cowabungaai.report import BuildReport, NotBuilt, ServiceReport
from cowabungaai.scan_summary import Summary as ScanSummary
from cowabungaai.scan_summary import TargetSummary

State = Literal["passed", "failed", "absent"]
# In the order in which they happen.
STAGES = ("build", "tests", "conformance", "load", "scan", "sbom", "publish")
SBOM_SUFFIXES = (".spdx.json", ".cdx.json")
INTEGRATION = "integration"
SOURCE_TARGET = "source"
NO_BACKEND = "no backend"
Model = TypeVar("Model", bound=BaseModel)


class LoadResult(BaseModel):
    """Of load.json what the report needs; tests/load/limits.py has all of it."""

    model_config = ConfigDict(frozen=True)

    service: str
    passed: bool
    broken: list[str]
    scenarios: list[dict[str, Any]]


class Stage(BaseModel):
    """What became of a service in one stage.

    Attributes:
        name: Of STAGES.
        state: absent where it was not run.
        detail: In a few words, such as "211 tests".
        seconds: How long it took, where that is known.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    state: State
    detail: str
    seconds: float | None = None


class ReleasedService(BaseModel):
    """A service of the release.

    Attributes:
        service: Its name.
        flavor: cpu or gpu.
        digest: Of the image's manifest.
        size: Bytes of the image's archive.
        budget: The most that they may be.
        layers: Of the image.
        cached: Whether the engine had the image already.
        stages: One for each of STAGES.
        references: Where it was published, with digest.
    """

    model_config = ConfigDict(frozen=True)

    service: str
    flavor: str
    digest: str
    size: int
    budget: int
    layers: int
    cached: bool
    stages: list[Stage]
    references: list[str]

    def stage(self, name: str) -> Stage:
        """One of its stages."""
        return next(stage for stage in self.stages if stage.name == name)


class ReleaseReport(BaseModel):
    """A release; `schema_version` changes when a reader must change.

    Attributes:
        created_at: When this report was made.
        commit: Of the sources.
        state: passed, failed, or incomplete where nothing failed, but something that a release needs was not run.
        problems: Why it is not passed, a line each.
        services: All that were built.
        whole: Stages that are about all services together: the integration test, and the scan of the sources.
        left_out: Services that were not built.
        packages: What was made of the images.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: int = 1
    created_at: datetime
    commit: str | None
    state: Literal["passed", "failed", "incomplete"]
    problems: list[str]
    services: list[ReleasedService]
    whole: list[Stage]
    left_out: list[NotBuilt]
    packages: list[PackageReport] = []


@dataclass
class Results:
    """What the functions left, by service where they are about one."""

    build: BuildReport | None = None
    tests: dict[str, TestSummary] = field(default_factory=dict)
    conformance: dict[str, TestSummary] = field(default_factory=dict)
    integration: TestSummary | None = None
    load: dict[str, LoadResult] = field(default_factory=dict)
    scans: dict[str, TargetSummary] = field(default_factory=dict)
    expired: list[str] = field(default_factory=list)
    sboms: dict[str, set[str]] = field(default_factory=dict)
    published: dict[tuple[str, str], PublishedImage] = field(default_factory=dict)
    packages: dict[str, PackageReport] = field(default_factory=dict)

    @property
    def tests_passed(self) -> int:
        """Tests of all suites that ran and did not fail."""
        suites = [*self.tests.values(), *self.conformance.values(), *([self.integration] if self.integration else [])]
        return sum(suite.tests - suite.skipped - suite.failures for suite in suites)


def collect(folder: Path) -> Results:
    """Read what the functions left, wherever below a folder it lies; a file is known by its name and its content.

    Args:
        folder: Such as reports/, which CI gathers.

    Raises:
        ReleaseError: A file is not as its function leaves it, or two are about the same.
    """
    results = Results()
    readers: dict[str, Callable[[Results, Path], None]] = {
        "build-report.json": _read_build,
        "summary.json": _read_summary,
        "load.json": _read_load,
        "published.json": _read_published,
        "packages.json": _read_packages,
    }
    for file in sorted(folder.rglob("*.json")):
        if reader := readers.get(file.name):
            try:
                reader(results, file)
            except (ValidationError, ValueError) as error:
                raise ReleaseError(f"{file.relative_to(folder)}: not as its function leaves it: {error}") from error
        elif suffix := next((one for one in SBOM_SUFFIXES if file.name.endswith(one)), None):
            results.sboms.setdefault(file.name.removesuffix(suffix), set()).add(suffix)
    if results.build is None:
        raise ReleaseError(f"no build-report.json below {folder.name or folder}; `build-all` leaves one")
    return results


def _read_build(results: Results, file: Path) -> None:
    results.build = _once(results.build, BuildReport.model_validate_json(file.read_text()), "builds")


def _read_load(results: Results, file: Path) -> None:
    loaded = LoadResult.model_validate_json(file.read_text())
    results.load[loaded.service] = _once(results.load.get(loaded.service), loaded, f"load tests of {loaded.service}")


def _read_published(results: Results, file: Path) -> None:
    for image in PublishReport.model_validate_json(file.read_text()).images:
        key = (image.service, image.flavor)
        results.published[key] = _once(results.published.get(key), image, f"publications of {image.service}")


def _read_packages(results: Results, file: Path) -> None:
    for package in PackagesReport.model_validate_json(file.read_text()).packages:
        known = results.packages.get(package.file)
        results.packages[package.file] = _once(known, package, f"packages named {package.file}")


def _read_summary(results: Results, file: Path) -> None:
    described = json.loads(file.read_text())
    if "targets" in described:
        scanned = ScanSummary.model_validate_json(file.read_text())
        results.expired += [line for line in scanned.expired if line not in results.expired]
        for target in scanned.targets:
            results.scans[target.target] = _once(results.scans.get(target.target), target, f"scans of {target.target}")
    elif "suites" in described:
        for suite in TestReport.model_validate_json(file.read_text()).suites:
            _keep_tests(results, suite)
    else:
        suite = TestSummary.model_validate_json(file.read_text())
        if suite.name == INTEGRATION:
            results.integration = _once(results.integration, suite, "integration tests")
        elif file.with_name("conformance.json").exists():
            found = results.conformance.get(suite.name)
            results.conformance[suite.name] = _once(found, suite, f"conformance runs of {suite.name}")
        else:
            # `test-all` leaves each service's summary beside the one of all: they are the same.
            _keep_tests(results, suite)


def _keep_tests(results: Results, suite: TestSummary) -> None:
    results.tests[suite.name] = _once(results.tests.get(suite.name), suite, f"runs of the unit tests of {suite.name}")


def _once(known: Model | None, found: Model, what: str) -> Model:
    if known is not None and known != found:
        raise ValueError(f"there are two {what} that differ; gather the results of one run")
    return found


def judge(
    results: Results, budgets: Mapping[tuple[str, str], int], backends: Iterable[str], commit: str | None, now: datetime
) -> ReleaseReport:
    """The report.

    Args:
        results: What the functions left.
        budgets: Service and flavor to the most bytes of its archive.
        backends: Services that a conformance run is about.
        commit: Of the sources.
        now: When it is made.

    Raises:
        ReleaseError: Something was built that the catalog does not know: the results are those of other sources.
    """
    assert results.build is not None  # noqa: S101 - `collect` looked
    if strange := [row.service for row in results.build.services if (row.service, row.flavor) not in budgets]:
        raise ReleaseError(f"build-report.json: of other sources than these, which have no {', '.join(strange)}")
    wanted = set(backends)
    services = [
        _service(results, row, budgets[row.service, row.flavor], conforms=row.service in wanted)
        for row in results.build.services
    ]
    whole = [
        _of_tests(INTEGRATION, results.integration),
        _of_scan(results.scans.get(SOURCE_TARGET), "scan of sources"),
    ]
    failed = [*_failures(services, whole), *(f"accepted longer than allowed: {line}" for line in results.expired)]
    failed += _other_digests(results.build.services, results.published)
    lacking = [f"{row.service} was not built: {row.reason}" for row in results.build.left_out if row.lacking]
    absent = [*lacking, *_absences(services, whole)]
    return ReleaseReport(
        created_at=now,
        commit=commit,
        state="failed" if failed else "incomplete" if absent else "passed",
        problems=[*failed, *absent],
        services=services,
        whole=whole,
        left_out=results.build.left_out,
        packages=list(results.packages.values()),
    )


def check(report: ReleaseReport) -> None:
    """Refuse a release that is not passed.

    Args:
        report: Of it.

    Raises:
        ReleaseError: Something failed or was not run; the message tells what, a line each.
    """
    if report.state != "passed":
        raise ReleaseError("\n".join([f"the release is {report.state}:", *report.problems]))


def _service(results: Results, row: ServiceReport, budget: int, *, conforms: bool) -> ReleasedService:
    name = row.service
    image = results.published.get((name, row.flavor))
    stages = [
        Stage(name="build", state="passed", detail="cached" if row.cached else "built", seconds=row.seconds),
        _of_tests("tests", results.tests.get(name)),
        *([_of_tests("conformance", results.conformance.get(name))] if conforms else []),
        *([_of_load(results.load[name])] if name in results.load else []),
        _of_scan(results.scans.get(name), "scan"),
        _of_sbom(results.sboms.get(name, set())),
        *([_of_publication(image)] if image else []),
    ]
    known = {stage.name: stage for stage in stages}
    if not conforms:
        known["conformance"] = Stage(name="conformance", state="absent", detail=NO_BACKEND)
    filled = [known.get(stage, Stage(name=stage, state="absent", detail="not run")) for stage in STAGES]
    return ReleasedService(
        service=name,
        flavor=row.flavor,
        digest=row.digest,
        size=row.size,
        budget=budget,
        layers=row.layers,
        cached=row.cached,
        stages=filled,
        references=[place.tagged for place in image.places] if image else [],
    )


def _of_tests(name: str, suite: TestSummary | None) -> Stage:
    if suite is None:
        return Stage(name=name, state="absent", detail="not run")
    told = f"{suite.tests - suite.skipped} tests" + (f", {suite.skipped} skipped" if suite.skipped else "")
    ended = "ended early" if suite.tests > suite.skipped else f"no test ran, {suite.skipped} skipped"
    failed = f"{suite.failures} of {suite.tests} failed" if suite.failures else ended
    state: State = "passed" if suite.passed else "failed"
    return Stage(name=name, state=state, detail=told if suite.passed else failed, seconds=suite.seconds)


def _of_load(loaded: LoadResult) -> Stage:
    rates = ", ".join(f"{one['scenario']} {one['requests_per_second']:.0f}/s" for one in loaded.scenarios)
    state: State = "passed" if loaded.passed else "failed"
    seconds = sum(float(one["seconds"]) for one in loaded.scenarios)
    return Stage(name="load", state=state, detail=rates if loaded.passed else "; ".join(loaded.broken), seconds=seconds)


def _of_scan(target: TargetSummary | None, name: str) -> Stage:
    if target is None:
        return Stage(name=name, state="absent", detail="not run")
    found = ", ".join(f"{count} {severity.lower()}" for severity, count in target.found.items() if count)
    state: State = "passed" if target.passed else "failed"
    told = f"{target.packages} packages, {found or 'nothing found'}"
    return Stage(name=name, state=state, detail=told, seconds=target.seconds)


def _of_sbom(suffixes: set[str]) -> Stage:
    if len(suffixes) < len(SBOM_SUFFIXES):
        return Stage(name="sbom", state="absent", detail="not made")
    return Stage(name="sbom", state="passed", detail="SPDX, CycloneDX")


def _of_publication(image: PublishedImage) -> Stage:
    seconds = max(place.seconds for place in image.places)
    many = len(image.places)
    detail = f"{many} {'registry' if many == 1 else 'registries'}"
    return Stage(name="publish", state="passed", detail=detail, seconds=seconds)


def _failures(services: Sequence[ReleasedService], whole: Sequence[Stage]) -> list[str]:
    found = [f"{one.name}: {one.detail}" for one in whole if one.state == "failed"]
    for service in services:
        found += [f"{service.service}: {one.name}: {one.detail}" for one in service.stages if one.state == "failed"]
        if service.size > service.budget:
            found.append(f"{service.service}: {service.size} bytes, {service.budget} are allowed")
    return found


def _absences(services: Sequence[ReleasedService], whole: Sequence[Stage]) -> list[str]:
    """What a release needs and nobody ran: load tests and publication are no part of every release."""
    found = [f"{one.name} was not run" for one in whole if one.state == "absent"]
    for stage in ("tests", "conformance", "scan", "sbom"):
        lacking = [
            service.service
            for service in services
            if service.stage(stage).state == "absent" and service.stage(stage).detail != NO_BACKEND
        ]
        if lacking:
            found.append(f"{stage} was not run of {', '.join(lacking)}")
    return found


def _other_digests(
    built: Sequence[ServiceReport], published: Mapping[tuple[str, str], PublishedImage]
) -> Iterable[str]:
    digests = {(row.service, row.flavor): row.digest for row in built}
    for key, image in published.items():
        if key not in digests:
            yield f"{image.service}: {image.digest} was published, but it is not among what was built"
        elif image.digest != digests[key]:
            yield f"{image.service}: {image.digest} was published, but {digests[key]} was built"
