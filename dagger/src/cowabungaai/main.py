"""The functions that people call: `dagger call build-all`, `dagger call test --service api` and so on."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Annotated

import anyio
import dagger
from dagger import DefaultPath, Doc, Ignore, check, dag, field, function, object_type

from cowabungaai import checks, conformance, images, lint, packages, stack, tools
from cowabungaai.errors import CannotBuildError
from cowabungaai.here import check_room, naming_what_lacks
from cowabungaai.report import (
    ArchiveFacts,
    BuildReport,
    LeftOut,
    ServiceReport,
    archive_name,
    check_budget,
    inspect_archive,
)
from cowabungaai.sources import Project, load_project
from cowabungaai.steps import for_each, step

Service = Annotated[str, Doc("Name of a service, as in `services`")]
Flavor = Annotated[str, Doc("cpu or gpu, where the service has both")]
Source = Annotated[
    dagger.Directory,
    Doc("Root of the repository"),
    DefaultPath("/"),
    Ignore(
        [
            "*",
            "!services",
            "!packages",
            "!toolchain/go",
            "!toolchain/images",
            "!toolchain/requirements",
            "**/__pycache__",
        ]
    ),
]
Repository = Annotated[
    dagger.Directory,
    Doc("Root of the repository"),
    DefaultPath("/"),
    Ignore(["*", *(f"!{folder}" for folder in lint.FOLDERS), *lint.GENERATED]),
]
Suite = Annotated[
    dagger.Directory,
    Doc("The conformance suite"),
    DefaultPath("/tests/conformance"),
    Ignore(["**/__pycache__"]),
]
Models = Annotated[
    dagger.Directory | None,
    Doc(
        "Folder of models that `./cowabunga models path` names; the engine fetches the services' default models itself"
    ),
]


async def _facts_of(archive: dagger.File, name: str) -> ArchiveFacts:
    """What an archive says of itself, read in the module's own container."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{name}.tar"
        await archive.export(str(file))
        return await anyio.to_thread.run_sync(inspect_archive, file)


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
    await check_room(project.catalog.check_flavor(name, flavor), flavor)
    image = await images.build(project, name, flavor)
    archive = images.archive(image)
    facts = await _facts_of(archive, name)
    check_budget(image.spec, flavor, facts.size)
    ran_at = [float(await file.contents()) for file in image.built_at]
    row = ServiceReport(
        service=name,
        flavor=flavor,
        file=archive_name(name, flavor),
        image=facts.image,
        digest=facts.digest,
        size=facts.size,
        layers=facts.layers,
        seconds=round(time.time() - begun, 2),
        cached=max(ran_at) < started,
        drift=(await image.drift.contents()).splitlines(),
    )
    return row, archive


def _left_out(name: str, flavor: str, reason: str) -> LeftOut:
    return LeftOut(service=name, flavor=flavor, file=archive_name(name, flavor), reason=reason)


@object_type
class ServiceEntry:
    """A service of the catalog."""

    name: str = field()
    kind: str = field()
    summary: str = field()
    flavors: list[str] = field()
    budget_mb: int = field()


@object_type
class Cowabungaai:
    """Builds, tests and packages every inference service of CowabungaAI."""

    source: Source = field()
    locked: Annotated[bool, Doc("Fail where the mirror no longer has a pinned Debian package")] = field(default=False)

    async def _project(self) -> Project:
        return await load_project(self.source, locked=self.locked)

    @function
    async def services(self) -> list[ServiceEntry]:
        """The catalog: every service with its kind, flavors and image size budget."""
        return [
            ServiceEntry(  # type: ignore[call-arg]  # the decorator makes the constructor
                name=spec.name,
                kind=spec.kind,
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
            _left_out(spec.name, flavor, f"it has the flavor {' and '.join(spec.flavors)} alone")
            for spec in project.catalog
            if spec.name not in names
        ]
        if services:
            names, left_out = [project.catalog.check_flavor(name, flavor).name for name in services], []

        async def one(name: str) -> tuple[ServiceReport, dagger.File] | LeftOut:
            try:
                with naming_what_lacks(project.catalog.get(name), flavor):
                    return await _build_and_report(project, name, flavor, started)
            except CannotBuildError as error:
                if services:
                    raise
                return _left_out(name, flavor, str(error))

        done = await for_each("build", names, one)
        left_out += [result for result in done.values() if isinstance(result, LeftOut)]
        built = {name: result for name, result in done.items() if not isinstance(result, LeftOut)}
        if not built:
            raise CannotBuildError("\n".join(row.reason for row in left_out))
        seconds = round(time.time() - started, 2)
        report = BuildReport(seconds=seconds, services=[row for row, _ in built.values()], left_out=left_out)
        output = dag.directory()
        for name, (_, archive) in built.items():
            output = output.with_file(f"images/{archive_name(name, flavor)}", archive)
        return output.with_new_file("build-report.json", report.model_dump_json(indent=2) + "\n")

    @function
    async def test(self, service: Service) -> dagger.Directory:
        """Unit tests of a service inside its image: junit.xml, coverage.xml, pytest.txt."""
        async with step(f"test {service}"):
            return await checks.run_tests(await self._project(), service)

    @function
    async def test_all(self) -> dagger.Directory:
        """Unit tests of all services, a folder for each."""
        project = await self._project()

        async def one(name: str) -> dagger.Directory:
            return await checks.run_tests(project, name)

        # Tests of engines use two processors each, and tests of time need them.
        at_once = max(1, (os.cpu_count() or 1) // 2)
        output = dag.directory()
        for name, report in (await for_each("test", project.catalog.names, one, at_once)).items():
            output = output.with_directory(name, report)
        return output

    @function
    @check
    async def lint(self, repository: Repository) -> str:
        """Style, types, stubs, contract, lock files and service.yaml files, all side by side."""
        return f"nothing found by {', '.join(await lint.run_checks(repository))}"

    @function
    async def package(self, service: Service, flavor: Flavor = "cpu") -> dagger.File:
        """The Zarf package of a service, made from its image without any registry."""
        async with step(f"package {service}"):
            return await packages.zarf_package(await self._project(), service, flavor)

    @function(cache="never")  # type: ignore[call-overload, untyped-decorator]  # overloads lack it
    async def conformance(
        self,
        suite: Suite,
        service: Annotated[str, Doc("A backend, as in `services`")] = "repeater",
        models_dir: Models = None,
    ) -> dagger.Directory:
        """The official client against the gateway and a backend: junit.xml, pytest.txt, conformance.json."""
        async with step(f"conformance of {service}"):
            return await conformance.run_suite(await self._project(), service, suite, models_dir)

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
        return await stack.gateway_with(await self._project(), models or ["repeater"], admin_key, models_dir)

    @function
    async def tool(self, name: Annotated[str, Doc("zarf, uds, trivy, dagger or registry")]) -> dagger.File:
        """A tool of the toolchain, compiled by the engine from its pinned Go module."""
        async with step(f"compile {name}"):
            return await (await tools.go_tool(self.source, name)).sync()
