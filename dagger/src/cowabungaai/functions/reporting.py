# SPDX-License-Identifier: Apache-2.0
"""Functions that report on what the others did."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import anyio
import dagger
from dagger import Doc, dag, function

from cowabungaai import release_page, release_report
from cowabungaai.functions.base import Base, ExitCode
from cowabungaai.published import check_sha
from cowabungaai.report import budget_of
from cowabungaai.scan import uploaded
from cowabungaai.sources import Project


async def judged(
    project: Project, results: dagger.Directory, sha: str | None, backends: list[str]
) -> tuple[release_report.ReleaseReport, dagger.Directory]:
    """What results tell of a release, and release-report.json and index.html of it.

    Args:
        project: Sources and catalog.
        results: What the functions left.
        sha: The commit.
        backends: Services that a conformance run is about.

    Raises:
        ReleaseError: The results are not of one run, or not as the functions leave them.
    """
    with tempfile.TemporaryDirectory() as folder:
        await results.filter(include=["**/*.json"]).export(folder)
        found = await anyio.to_thread.run_sync(release_report.collect, Path(folder))
    budgets: dict[tuple[str, str], int] = {
        (spec.name, flavor): budget_of(spec, flavor) for spec in project.catalog for flavor in spec.flavors
    }
    report = release_report.judge(found, budgets, backends, sha, datetime.now(UTC))
    text = report.model_dump_json(indent=2) + "\n"
    page = release_page.render(report, found.tests_passed)
    output = dag.directory().with_file("release-report.json", uploaded(text, "release-report.json"))
    return report, output.with_file("index.html", uploaded(page, "index.html"))


class Reporting(Base):
    """Reports."""

    @function(cache="never")  # type: ignore[call-overload, untyped-decorator]  # overloads lack it
    async def release_report(
        self,
        results: Annotated[
            dagger.Directory,
            Doc("What build-all, test-all, conformance, scan-all and so on left, in any folders below it"),
        ],
        sha: Annotated[str | None, Doc("The commit, 7 to 40 hexadecimal digits")] = None,
        exit_code: ExitCode = 1,
    ) -> dagger.Directory:
        """What a release holds and what was proved of it: release-report.json, index.html for people."""
        if sha is not None:
            check_sha(sha, tagged=True)
        project = await self._project()
        backends = [spec.name for spec in project.catalog if spec.is_backend]
        report, output = await judged(project, results, sha, backends)
        if exit_code:
            release_report.check(report)
        return output
