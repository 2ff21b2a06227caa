# SPDX-License-Identifier: Apache-2.0
"""Makes UDS bundles of built packages, by the real uds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import dagger
import yaml
from dagger import dag

from cowabungaai import bundle_definition as definitions
from cowabungaai.bundle_definition import DEFINITION, FOLDER, PACKAGES, VARIANTS
from cowabungaai.errors import BuildError
from cowabungaai.images import version_of
from cowabungaai.packages import Packaged, Wanted, zarf_package
from cowabungaai.sources import Project
from cowabungaai.stack import gateway_of
from cowabungaai.steps import for_each
from cowabungaai.tools import go_tool
from cowabungaai.wheels import BUILD_IMAGE


@dataclass(frozen=True)
class Bundle:
    """A bundle's definition below bundles/.

    Attributes:
        name: Its folder.
        flavor: The variant: cpu or gpu.
        version: Of the bundle.
        services: That it has, in the order in which they are deployed.
    """

    name: str
    flavor: str
    version: str
    services: tuple[str, ...]


async def chosen(project: Project, name: str, flavor: str, version: str, only: list[str] | None = None) -> Bundle:
    """A bundle by its name.

    Args:
        project: Sources and catalog.
        name: Its folder below bundles/.
        flavor: The variant: cpu or gpu.
        version: Of the bundle; the gateway's where it is empty.
        only: Of its services.

    Raises:
        BuildError: There is no such bundle or variant, or it has not all of these services.
    """
    known = sorted(path.split("/")[1] for path in await project.source.glob(f"{FOLDER}/*/{DEFINITION}"))
    if name not in known:
        raise BuildError(f"no bundle is named {name!r}; the bundles are: {', '.join(known)}")
    variants = await project.source.file(f"{FOLDER}/{name}/{VARIANTS}").contents()
    services = definitions.services_of(variants, name, flavor, project.catalog)
    if missing := [service for service in only or [] if service not in services]:
        raise BuildError(f"bundle {name!r} ({flavor}) has no service {missing[0]!r}; it has: {', '.join(services)}")
    version = version or await version_of(project.source, gateway_of(project).name)
    return Bundle(name, flavor, version, tuple(service for service in services if not only or service in only))


async def packages_of(project: Project, bundle: Bundle) -> dict[str, Packaged]:
    """The packages of a bundle, by their services.

    Args:
        project: Sources and catalog.
        bundle: Which.
    """

    async def one(name: str) -> Packaged:
        flavor = definitions.flavor_in(project.catalog.get(name), bundle.flavor)
        return await zarf_package(project, name, Wanted(flavor))

    return await for_each("package", bundle.services, one)


async def uds_bundle(project: Project, bundle: Bundle, packages: Mapping[str, Packaged]) -> dagger.Directory:
    """A folder with the bundle, and uds-config.yaml, which has all that can be set in it.

    Args:
        project: Sources and catalog.
        bundle: Which.
        packages: By their services, signed or not.

    Raises:
        BuildError: The definition lacks one of the packages.
    """
    definition = await project.source.file(f"{FOLDER}/{bundle.name}/{DEFINITION}").contents()
    reports = [packages[service].report for service in bundle.services]
    filled = definitions.filled(
        definition, reports, project.catalog, name=bundle.name, flavor=bundle.flavor, version=bundle.version
    )
    folder = dag.directory().with_new_file(DEFINITION, yaml.safe_dump(filled, sort_keys=False, width=120))
    for service in bundle.services:
        packaged = packages[service]
        folder = folder.with_file(f"{PACKAGES}/{packaged.report.file}", packaged.file)
    architecture = (await dag.default_platform()).split("/")[1]
    run = (
        dag.container()
        .from_(BUILD_IMAGE)
        .with_mounted_file("/usr/local/bin/uds", await go_tool(project.source, "uds"))
        .with_mounted_directory("/bundle", folder)
        .with_workdir("/bundle")
        .with_exec(["mkdir", "/out"])
        .with_exec(
            ["uds", "create", ".", "--confirm", "--no-progress", f"--architecture={architecture}", "--output=/out"]
        )
    )
    made = run.directory("/out")
    files = await made.glob("uds-bundle-*.tar.zst")
    if len(files) != 1:
        raise BuildError(f"uds made {len(files)} bundles of {bundle.name}, expected one")
    return made.with_new_file("uds-config.yaml", definitions.config_for(filled))
