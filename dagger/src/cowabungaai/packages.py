# SPDX-License-Identifier: Apache-2.0
"""Makes Zarf packages straight from the built images, without a registry."""

from __future__ import annotations

import dagger
from dagger import dag

from cowabungaai.errors import BuildError
from cowabungaai.images import archive, build, reference_of, version_of
from cowabungaai.sources import Project
from cowabungaai.tools import go_tool
from cowabungaai.wheels import BUILD_IMAGE


async def zarf_package(project: Project, name: str, flavor: str) -> dagger.File:
    """A service's Zarf package.

    Args:
        project: Sources and catalog.
        name: The service.
        flavor: cpu or gpu.

    Raises:
        BuildError: The service has no folder below packages/.
    """
    source = project.source
    image = await build(project, name, flavor)
    packaged = sorted(path.split("/")[1] for path in await source.glob("packages/*/zarf.yaml"))
    if name not in packaged:
        raise BuildError(f"service {name!r} has no packages/{name}/zarf.yaml; those that have: {', '.join(packaged)}")
    version = await version_of(source, name)
    folder = source.directory(f"packages/{name}").with_file(f"images/{name}.tar", await archive(project, image))
    run = (
        dag.container()
        .from_(BUILD_IMAGE)
        .with_mounted_file("/usr/local/bin/zarf", await go_tool(source, "zarf"))
        .with_mounted_directory("/package", folder)
        .with_workdir("/package")
        .with_exec(
            [
                "zarf",
                "package",
                "create",
                ".",
                "--confirm",
                "--no-color",
                f"--set=VERSION={version}",
                f"--set=IMAGE={reference_of(name, version)}",
                "--output=/out",
            ]
        )
    )
    files = await run.directory("/out").glob("*.tar.zst")
    if len(files) != 1:
        raise BuildError(f"zarf made {len(files)} packages of {name}, expected one")
    return run.directory("/out").file(files[0])
