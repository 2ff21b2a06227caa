# SPDX-License-Identifier: Apache-2.0
"""Functions that build images, and show them."""

from __future__ import annotations

import time
from typing import Annotated

import dagger
from dagger import Doc, dag, field, function, object_type

from cowabungaai import images, stack, tools
from cowabungaai.archives import facts_of
from cowabungaai.errors import CannotBuildError
from cowabungaai.functions.base import Base, Flavor, Models, Service
from cowabungaai.here import naming_what_lacks
from cowabungaai.report import (
    BuildReport,
    NotBuilt,
    ServiceReport,
    archive_name,
    check_budget,
)
from cowabungaai.sources import Project
from cowabungaai.steps import for_each, step


async def _build_and_report(
    project: Project, name: str, flavor: str, started: float
) -> tuple[ServiceReport, dagger.File]:
    """Build and pack a service; its line of the report, and its archive.

    Args:
        project: Sources and catalog.
        name: The service.
        flavor: cpu or gpu.
        started: When the whole run began, in seconds since 1970.

    Raises:
        CannotBuildError: The engine's disk has no room for it.
        BuildError: The image is over its budget.
    """
    begun = time.time()
    image = await images.build(project, name, flavor)
    archive = await images.archive(project, image)
    facts = await facts_of(archive, archive_name(name, flavor), image.built_at)
    check_budget(image.spec, flavor, facts.size)
    row = ServiceReport(
        service=name,
        flavor=flavor,
        file=archive_name(name, flavor),
        image=facts.image,
        digest=facts.digest,
        size=facts.size,
        layers=facts.layers,
        seconds=round(time.time() - begun, 2),
        cached=facts.built_at < started,
        drift=(await image.drift.contents()).splitlines(),
    )
    return row, archive


def _not_built(name: str, flavor: str, reason: str, *, lacking: bool = False) -> NotBuilt:
    return NotBuilt(service=name, flavor=flavor, file=archive_name(name, flavor), reason=reason, lacking=lacking)


@object_type
class ServiceEntry:
    """A service of the catalog."""

    name: str = field()
    kind: str = field()
    summary: str = field()
    backend: bool = field()
    flavors: list[str] = field()
    budget_mb: int = field()


class Building(Base):
    """Builds images, serves them, and compiles the tools that the pipeline runs."""

    @function
    async def services(self) -> list[ServiceEntry]:
        """The catalog: every service with its kind, whether it serves models, flavors and image size budget."""
        return [
            ServiceEntry(  # type: ignore[call-arg]  # the decorator makes the constructor
                name=spec.name,
                kind=spec.kind,
                backend=spec.is_backend,
                summary=spec.summary,
                flavors=list(spec.flavors),
                budget_mb=spec.image.budget_mb,
            )
            for spec in (await self._project()).catalog
        ]

    @function
    async def build(
        self,
        service: Service,
        flavor: Flavor = "cpu",
        platform: Annotated[dagger.Platform | None, Doc("Such as linux/amd64; the engine's own by default")] = None,
    ) -> dagger.Container:
        """The image of a service."""
        async with step(f"build {service}"):
            built = await images.build(await self._project(), service, flavor, platform)
            return await built.container.sync()

    @function(cache="never")  # type: ignore[call-overload, untyped-decorator]  # overloads lack it
    async def build_all(
        self,
        flavor: Annotated[str, Doc("cpu or gpu; services that lack it are not built")] = "cpu",
        services: Annotated[list[str] | None, Doc("Only these; it fails if one of them cannot be built here")] = None,
    ) -> dagger.Directory:
        """The OCI archives of all services as images/<service>.tar, or <service>-gpu.tar, and build-report.json.

        A service for which this machine lacks room or a wheel is named in the report, with the reason.
        """
        project = await self._project()
        started = time.time()
        names = project.catalog.with_flavor(flavor)
        left_out = [
            _not_built(spec.name, flavor, f"it has the flavor {' and '.join(spec.flavors)} alone")
            for spec in project.catalog
            if spec.name not in names
        ]
        if services:
            names, left_out = [project.catalog.check_flavor(name, flavor).name for name in services], []

        async def one(name: str) -> tuple[ServiceReport, dagger.File] | NotBuilt:
            try:
                with naming_what_lacks(project.catalog.get(name), flavor):
                    return await _build_and_report(project, name, flavor, started)
            except CannotBuildError as error:
                if services:
                    raise
                return _not_built(name, flavor, str(error), lacking=True)

        done = await for_each("build", names, one)
        left_out += [result for result in done.values() if isinstance(result, NotBuilt)]
        built = {name: result for name, result in done.items() if not isinstance(result, NotBuilt)}
        if not built:
            raise CannotBuildError("\n".join(row.reason for row in left_out))
        seconds = round(time.time() - started, 2)
        report = BuildReport(seconds=seconds, services=[row for row, _ in built.values()], left_out=left_out)
        output = dag.directory()
        for name, (_, archive) in built.items():
            output = output.with_file(f"images/{archive_name(name, flavor)}", archive)
        return output.with_new_file("build-report.json", report.model_dump_json(indent=2) + "\n")

    @function
    async def serve(
        self,
        admin_key: Annotated[
            dagger.Secret,
            Doc("A key that may do everything, such as env:NAME; the gateway's `keys generate` makes one"),
        ],
        models: Annotated[
            list[str] | None, Doc("Services that answer, each under its own name; repeater by default")
        ] = None,
        models_dir: Models = None,
    ) -> dagger.Service:
        """The gateway with its backends, on 8080: `dagger call serve --admin-key env:KEY up --ports 8080:8080`."""
        served = await stack.stack_with(await self._project(), models or ["repeater"], admin_key, models_dir)
        return served.as_service()

    @function
    async def tool(
        self, name: Annotated[str, Doc("Such as zarf, uds, trivy, helm, courier or registry; a wrong name lists all")]
    ) -> dagger.File:
        """A tool of the toolchain, compiled by the engine from its pinned Go module."""
        async with step(f"compile {name}"):
            return await (await tools.go_tool(self.source, name)).sync()
