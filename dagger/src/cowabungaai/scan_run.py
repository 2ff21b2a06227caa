# SPDX-License-Identifier: Apache-2.0
"""A scan from its arguments to its reports."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import anyio
import dagger
from dagger import dag

from cowabungaai import ignores, images, inline_ignores, scan, scan_charts, scan_page, scan_summary
from cowabungaai.errors import PipelineError, ScanError
from cowabungaai.ignores import Entry, Outcome
from cowabungaai.package_report import GPU_VALUES
from cowabungaai.report import LeftOut, archive_name
from cowabungaai.scan_summary import Scanned
from cowabungaai.sources import Project
from cowabungaai.steps import outcomes, step
from cowabungaai.trivy_report import Report, Result, Severity, parse_report
from cowabungaai.vulnerability_db import Database, Wanted, check_ecosystems, open_database
from cowabungaai.wheels import text_file


@dataclass(frozen=True)
class Settings:
    """How findings are judged.

    Attributes:
        severities: What fails.
        entries: Of the ignore file.
        database: Where it comes from.
        exit_code: 0 returns the reports also where something was found.
    """

    severities: tuple[Severity, ...]
    entries: tuple[Entry, ...]
    database: Wanted
    exit_code: int


@dataclass(frozen=True)
class Scan:
    """What a target's scan needs.

    Attributes:
        trivy: In a container.
        database: Open.
        settings: How findings are judged.
        category: Of the SARIF reports, before the target's name; code scanning takes one report of each.
    """

    trivy: dagger.Container
    database: Database
    settings: Settings
    category: str = "scan"


@dataclass(frozen=True)
class Looked:
    """What was found in a target, its reports, and how long that took."""

    outcome: Outcome
    reports: dagger.Directory
    seconds: float


async def scan_images(
    project: Project,
    names: Sequence[str],
    flavor: str,
    settings: Settings,
    left_out: Sequence[LeftOut] | None = None,
    *,
    archives: Mapping[str, dagger.File] | None = None,
) -> dagger.Directory:
    """Scan services' images.

    Args:
        project: Sources and catalog.
        names: The services.
        flavor: cpu or gpu; each of them has it.
        settings: How findings are judged.
        left_out: Services that are not scanned, for the summary, where these are all others; else None.
        archives: Of the images, by service, where just these are to be scanned; else they are built.

    Raises:
        ScanError: Something was found that may not be, or a service could not be scanned.
    """
    begun = await _begin(project.source, settings)

    async def one(name: str) -> Looked:
        if archives is None:
            archive = await images.archive(project, await images.build(project, name, flavor))
        else:
            archive = archives[name]
        return await _look_into(begun, name, archive, archive_name(name, flavor))

    return await _finish(begun, names, one, "Scan of the images", left_out)


async def scan_published(
    source: dagger.Directory, images: Mapping[str, tuple[str, str]], registries: dagger.Container, settings: Settings
) -> dagger.Directory:
    """Scan images as they are in registries.

    Args:
        source: The part of the repository that holds the toolchain, from which Trivy is built.
        images: Service and host/repository@digest of each, by the names that their reports get.
        registries: An empty container that has the registries' credentials.
        settings: How findings are judged.

    Raises:
        ScanError: Something was found that may not be, or an image could not be had or scanned.
    """
    begun = await _begin(source, settings, "published")

    async def one(name: str) -> Looked:
        service, reference = images[name]
        archive = registries.from_(reference).as_tarball()
        return await _look_into(begun, name, archive, f"{name}.tar", service=service)

    return await _finish(begun, list(images), one, "Scan of what was published")


async def scan_tree(source: dagger.Directory, tree: dagger.Directory, settings: Settings) -> dagger.Directory:
    """Scan the source tree.

    Args:
        source: The part of it that holds the toolchain, from which Trivy is built.
        tree: All of it.
        settings: How findings are judged.

    Raises:
        ScanError: Something was found that may not be, or the tree could not be scanned, or has a comment that tells
            Trivy to pass over something.
    """
    begun = await _begin(source, settings)

    async def one(name: str) -> Looked:
        locks = await _locks(tree)
        await _refuse_comments(tree)
        started = time.perf_counter()
        report = parse_report(await scan.tree_report(begun.trivy, tree, begun.database).contents(), name)
        report.results += await _charts(begun.trivy, tree)
        return await _look(begun, name, report, scan.check_tree(report, locks), started)

    return await _finish(begun, [scan.SOURCE], one, "Scan of the sources", [])


async def _begin(source: dagger.Directory, settings: Settings, category: str = "scan") -> Scan:
    async with step("open the vulnerability database"):
        trivy = await scan.trivy_container(source)
        return Scan(trivy, await open_database(trivy, settings.database), settings, category)


async def _look_into(begun: Scan, name: str, archive: dagger.File, file: str, *, service: str | None = None) -> Looked:
    """Scan an image, whose archive goes by the name of a file."""
    # To build it is no part of the scan.
    archive = await archive.sync()
    started = time.perf_counter()
    report = parse_report(await scan.image_report(begun.trivy, archive, file, begun.database).contents(), name)
    return await _look(begun, name, report, scan.check_image(report, name), started, service=service)


async def _look(
    begun: Scan, name: str, report: Report, ecosystems: list[str], started: float, *, service: str | None = None
) -> Looked:
    await check_ecosystems(begun.trivy, begun.database, ecosystems)
    outcome = ignores.apply(report, name, begun.settings.entries, _today(), service=service)
    reports = await scan.converted(begun.trivy, outcome.report, f"{begun.category}/{name}/").sync()
    return Looked(outcome, reports, round(time.perf_counter() - started, 1))


async def _finish(
    begun: Scan,
    names: Sequence[str],
    one: Callable[[str], Awaitable[Looked]],
    title: str,
    left_out: Sequence[LeftOut] | None = None,
) -> dagger.Directory:
    settings = begun.settings
    ended = await outcomes("scan", names, one, at_once=os.cpu_count() or 1)
    looked = {name: result for name, result in ended.items() if isinstance(result, Looked)}
    failures = [str(result) for result in ended.values() if isinstance(result, PipelineError)]
    found = [result.outcome for result in looked.values()]
    scanned = Scanned(
        settings.severities,
        begun.database.metadata.updated_at,
        found,
        ignores.expired(settings.entries, _today()),
        ignores.idle(settings.entries, found, everything=left_out is not None and not failures),
        left_out or (),
        {name: result.seconds for name, result in looked.items()},
    )
    summary = scan_summary.summarise(scanned)
    told = scan_summary.message(scanned, failures)
    if failures:
        raise ScanError(told)
    if settings.exit_code and not summary.passed:
        raise ScanError(f"{told}\nThe reports: the same call with --exit-code 0 returns them, and summary.json.")
    print(told)
    output = dag.directory()
    for name, result in looked.items():
        output = output.with_directory(name, result.reports)
    page = scan.uploaded(scan_page.render(scanned, title), "index.html")
    return output.with_new_file("summary.json", summary.model_dump_json(indent=2) + "\n").with_file("index.html", page)


async def _locks(tree: dagger.Directory) -> list[str]:
    """Paths of the files of a tree that name packages, as Trivy's report has them."""
    with tempfile.TemporaryDirectory() as folder:
        await tree.filter(include=[*scan.LOCKS, scan.GO_MODULES]).export(folder)
        return await anyio.to_thread.run_sync(scan.lock_files, Path(folder))


async def _refuse_comments(tree: dagger.Directory) -> None:
    """Refuse a tree with comments that tell Trivy what to pass over."""
    with tempfile.TemporaryDirectory() as folder:
        await tree.export(folder)
        await anyio.to_thread.run_sync(inline_ignores.refuse, Path(folder))


async def _charts(trivy: dagger.Container, tree: dagger.Directory) -> list[Result]:
    """What is wrong in the charts of a tree."""
    paths = await tree.glob(f"**/{scan_charts.CHART}")
    described = {path: await tree.file(path).contents() for path in paths}
    packages = {path: await tree.file(path).contents() for path in await tree.glob("packages/*/zarf.yaml")}
    gpu = await tree.glob(f"packages/*/{GPU_VALUES}")
    results = []
    for chart in scan_charts.charts_of(described, packages, gpu):
        values = [text_file(scan_charts.filled(await tree.file(path).contents(), chart)) for path in chart.values]
        text = await scan.chart_report(trivy, tree, chart, values).contents()
        results += scan_charts.failures(parse_report(text, chart.folder), chart)
    return results


def _today() -> date:
    return datetime.now(UTC).date()
