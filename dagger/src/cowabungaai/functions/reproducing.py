# SPDX-License-Identifier: Apache-2.0
"""The function that builds once more what another machine built, and compares."""

from __future__ import annotations

import time
from typing import Annotated

import dagger
from dagger import Doc, function

from cowabungaai import images, packages, reproduction
from cowabungaai.archives import facts_of
from cowabungaai.functions.base import Base, Models
from cowabungaai.package_report import PackageReport
from cowabungaai.report import archive_name
from cowabungaai.reproduction import Artifact, ReportedImage, Reproduction
from cowabungaai.scan import uploaded
from cowabungaai.sources import Project
from cowabungaai.steps import for_each, step
from cowabungaai.weights import brought_for

FILE = "reproduction.json"


class Reproducing(Base):
    """Comparison with what other machines built."""

    @function(cache="never")  # type: ignore[call-overload, untyped-decorator]  # overloads lack it
    async def reproduce(
        self,
        report: Annotated[
            dagger.File,
            Doc(
                "What another machine said of the same sources: build-report.json, packages.json, published.json or"
                " release-report.json"
            ),
        ],
        models_dir: Models = None,
        exit_code: Annotated[int, Doc("0 returns the comparison also where something differs")] = 1,
    ) -> dagger.File:
        """Build what a report of another machine tells of, and compare digests: reproduction.json.

        Packages are compared by all that is in them but for the record of their build, which has the time.
        """
        started = time.time()
        async with step("read the report"):
            told = reproduction.parse(await report.contents(), await report.name())
        project = await self._project()
        wanted = {f"{one.service} ({one.flavor})": one for one in told.comparable_images()}
        compared = await for_each("rebuild", wanted, lambda name: _image(project, wanted[name], started))
        cached = {(one.service, one.flavor): one.cached for one in compared.values()}
        artifacts = list(compared.values())
        packaged = {f"{one.service} ({one.flavor})": one for one in told.comparable_packages()}

        async def one(name: str) -> Artifact:
            there = packaged[name]
            return await _package(project, there, models_dir, cached=cached[there.service, there.flavor])

        artifacts += (await for_each("package", packaged, one)).values()
        print("".join(f"{line}\n" for line in reproduction.summary(artifacts)), end="")
        if exit_code:
            reproduction.check(artifacts)
        result = Reproduction(
            passed=all(one.same for one in artifacts),
            seconds=round(time.time() - started, 2),
            artifacts=artifacts,
            left_out=told.left_out(),
        )
        return uploaded(result.model_dump_json(indent=2) + "\n", FILE)


async def _image(project: Project, there: ReportedImage, started: float) -> Artifact:
    built = await images.build(project, there.service, there.flavor)
    archive = await images.archive(project, built)
    facts = await facts_of(archive, archive_name(there.service, there.flavor), built.built_at)
    return Artifact(
        kind="image",
        service=there.service,
        flavor=there.flavor,
        expected=there.digest,
        built=facts.digest,
        cached=facts.built_at < started,
    )


async def _package(
    project: Project, there: PackageReport, models: dagger.Directory | None, *, cached: bool
) -> Artifact:
    model = await brought_for(project.catalog.get(there.service), models)
    # A package names the image of its weights also where it does not bring it.
    wanted = packages.Wanted(there.flavor, model, with_weights=there.model is None or there.model.size > 0)
    here = await packages.with_contents(project.source, await packages.zarf_package(project, there.service, wanted))
    return Artifact(
        kind="package",
        service=there.service,
        flavor=there.flavor,
        expected=there.contents or "",
        built=here.report.contents or "",
        cached=cached,
    )
