# SPDX-License-Identifier: Apache-2.0
"""Functions that make of images what leaves the building."""

from __future__ import annotations

from typing import Annotated

import dagger
from dagger import Doc, dag, function

from cowabungaai import airgap_proof as airgap
from cowabungaai import bundles, packages
from cowabungaai.errors import CannotBuildError
from cowabungaai.functions.base import Base, ExitCode, Flavor, Service, Suite
from cowabungaai.here import naming_what_lacks
from cowabungaai.package_report import PackagesReport
from cowabungaai.packages import Packaged, Wanted, packaged_names
from cowabungaai.scan import uploaded
from cowabungaai.steps import for_each, step
from cowabungaai.weights import Brought

OtherBase = Annotated[
    str, Doc("Image to build on in place of Debian's packages, by digest: Zarf's flavor hardened; it needs Python 3.13")
]
WithoutWeights = Annotated[bool, Doc("The enclave has the weights already: the package only names their image")]


class Shipping(Base):
    """Packages."""

    @function
    async def package(
        self,
        service: Service,
        *,
        flavor: Flavor = "cpu",
        model: Annotated[dagger.Directory | None, Doc("Folder of a model in place of the default one")] = None,
        model_id: Annotated[str, Doc("Its name, where the folder has no manifest.json")] = "",
        model_licence: Annotated[str, Doc("Licence of its weights, likewise")] = "",
        without_weights: WithoutWeights = False,
        base: OtherBase = "",
    ) -> dagger.File:
        """The Zarf package of a service, with the weights of its model, made from images without any registry."""
        async with step(f"package {service}"):
            brought = Brought(model, model_id, model_licence) if model else None
            wanted = Wanted(flavor, brought, not without_weights, base)
            return (await packages.zarf_package(await self._project(), service, wanted)).file

    @function
    async def bundle(
        self,
        name: Annotated[str, Doc("A folder below bundles/: dev or latest")],
        flavor: Flavor = "cpu",
        version: Annotated[str, Doc("Of the bundle; the gateway's by default")] = "",
        services: Annotated[list[str] | None, Doc("Only these of its services")] = None,
    ) -> dagger.Directory:
        """The UDS bundle of packages that are built for it, and uds-config.yaml, with all that can be set in it."""
        project = await self._project()
        chosen = await bundles.chosen(project, name, flavor, version, services)
        made = await bundles.packages_of(project, chosen)
        async with step(f"bundle {name}"):
            return await (await bundles.uds_bundle(project, chosen, made)).sync()

    @function(cache="never")  # type: ignore[call-overload, untyped-decorator]  # overloads lack it
    async def airgap_proof(
        self,
        suite: Suite,
        *,
        bundle: Annotated[dagger.File | None, Doc("A bundle; by default the one that is built by name")] = None,
        name: Annotated[str, Doc("A folder below bundles/, where no file is given")] = "latest",
        services: Annotated[list[str] | None, Doc("Only these of its services")] = None,
        exit_code: ExitCode = 1,
    ) -> dagger.Directory:
        """Installs a bundle without a network and runs the conformance suite on it: proof.json, index.html, logs."""
        project = await self._project()
        if bundle is None:
            chosen = await bundles.chosen(project, name, "cpu", "", services)
            made = await bundles.uds_bundle(project, chosen, await bundles.packages_of(project, chosen))
            bundle = made.file((await made.glob("*.tar.zst"))[0])
        async with step("airgap-proof"):
            proved = await airgap.prove(project, bundle, suite)
            return (proved.check() if exit_code else proved).report

    @function
    async def package_all(
        self,
        flavor: Flavor = "cpu",
        services: Annotated[
            list[str] | None, Doc("Only these; it fails if one of them cannot be packaged here")
        ] = None,
        without_weights: WithoutWeights = False,
        base: OtherBase = "",
    ) -> dagger.Directory:
        """The Zarf packages of all services, and packages.json: sizes against budgets, images by digest, models."""
        project = await self._project()
        known = packaged_names(await project.source.glob("packages/*/zarf.yaml"))
        names = services or [name for name in project.catalog.with_flavor(flavor) if name in known]

        async def one(name: str) -> Packaged | None:
            try:
                with naming_what_lacks(project.catalog.get(name), flavor):
                    wanted = Wanted(flavor, with_weights=not without_weights, base=base)
                    return await packages.zarf_package(project, name, wanted)
            except CannotBuildError:
                if services:
                    raise
                return None

        done = [one for one in (await for_each("package", names, one)).values() if one is not None]
        folder = dag.directory()
        for packaged in done:
            folder = folder.with_file(packaged.report.file, packaged.file)
        report = PackagesReport(packages=[packaged.report for packaged in done])
        return folder.with_file("packages.json", uploaded(report.model_dump_json(indent=2), "packages.json"))
