# SPDX-License-Identifier: Apache-2.0
"""Functions that make of images what leaves the building."""

from __future__ import annotations

from typing import Annotated

import dagger
from dagger import Doc, dag, function

from cowabungaai import packages
from cowabungaai.errors import CannotBuildError
from cowabungaai.functions.base import Base, Flavor, Models, Service
from cowabungaai.here import naming_what_lacks
from cowabungaai.package_report import PackagesReport
from cowabungaai.packages import Packaged, Wanted, packaged_names
from cowabungaai.report import LeftOut
from cowabungaai.scan import uploaded
from cowabungaai.steps import for_each, step
from cowabungaai.weights import Brought, brought_for

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
    async def package_model(
        self,
        model: Annotated[dagger.Directory, Doc("Its folder")],
        model_id: Annotated[str, Doc("Its name, where the folder has no manifest.json")] = "",
        model_licence: Annotated[str, Doc("Licence of its weights, likewise")] = "",
    ) -> dagger.File:
        """The Zarf package of nothing but a model's weights, to be added to a service that an enclave has already."""
        async with step("package the model"):
            return await packages.model_package(await self._project(), Brought(model, model_id, model_licence))

    # How much room there is, and what a mirror has, changes without the sources.
    @function(cache="never")  # type: ignore[call-overload, untyped-decorator]  # overloads lack it
    async def package_all(
        self,
        flavor: Flavor = "cpu",
        services: Annotated[
            list[str] | None, Doc("Only these; it fails if one of them cannot be packaged here")
        ] = None,
        models_dir: Models = None,
        without_weights: WithoutWeights = False,
        base: OtherBase = "",
    ) -> dagger.Directory:
        """The Zarf packages of all services, and packages.json: sizes against budgets, images by digest, models.

        A service for which this machine lacks room or a wheel is named in packages.json, with the reason.
        """
        project = await self._project()
        known = packaged_names(await project.source.glob("packages/*/zarf.yaml"))
        names = services or [name for name in project.catalog.with_flavor(flavor) if name in known]

        async def one(name: str) -> Packaged | LeftOut:
            try:
                spec = project.catalog.get(name)
                with naming_what_lacks(spec, flavor):
                    model = await brought_for(spec, models_dir)
                    wanted = Wanted(flavor, model, not without_weights, base)
                    packaged = await packages.zarf_package(project, name, wanted)
                    return await packages.with_contents(project.source, packaged)
            except CannotBuildError as error:
                if services:
                    raise
                return LeftOut(service=name, reason=str(error))

        ended = (await for_each("package", names, one)).values()
        done = [one for one in ended if isinstance(one, Packaged)]
        left_out = [one for one in ended if isinstance(one, LeftOut)]
        told = [f"not packaged: {one.service}: {one.reason}" for one in left_out]
        if not done:
            raise CannotBuildError("\n".join(told))
        print("".join(f"{line}\n" for line in told), end="")
        folder = dag.directory()
        for packaged in done:
            folder = folder.with_file(packaged.report.file, packaged.file)
        report = PackagesReport(packages=[packaged.report for packaged in done], left_out=left_out)
        return folder.with_file("packages.json", uploaded(report.model_dump_json(indent=2), "packages.json"))
