# SPDX-License-Identifier: Apache-2.0
"""Reads the catalog out of the source tree."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

import anyio
import dagger

from cowabungaai.catalog import Catalog, ServiceSpec, parse
from cowabungaai.errors import CatalogError


@dataclass(frozen=True)
class Project:
    """What every step works on.

    Attributes:
        source: The root of the repository.
        catalog: All services.
        locked: Whether a pinned Debian package that is gone from the mirror is an error, not a warning.
    """

    source: dagger.Directory
    catalog: Catalog
    locked: bool = False


async def load_project(source: dagger.Directory, *, locked: bool) -> Project:
    """Read and check the catalog of a source tree.

    Raises:
        CatalogError: It is not valid; the message tells all mistakes of all files.
    """
    return Project(source, await load_catalog(source), locked)


async def load_catalog(source: dagger.Directory) -> Catalog:
    """Read and check every service.yaml.

    Args:
        source: The root of the repository.

    Raises:
        CatalogError: One or more are not valid; the message tells all mistakes of all files.
    """
    files = sorted(await source.glob("services/*/service.yaml"))
    texts: dict[str, str] = {}

    async def read(file: str) -> None:
        texts[file] = await source.file(file).contents()

    async with anyio.create_task_group() as group:
        for file in files:
            group.start_soon(read, file)
    specs: list[ServiceSpec] = []
    mistakes: list[str] = []
    for file in files:
        try:
            specs.append(parse(texts[file], file))
        except CatalogError as error:
            mistakes.append(str(error))
    if mistakes:
        raise CatalogError("\n".join(mistakes))
    if not specs:
        raise CatalogError("no services/*/service.yaml in the source directory; pass the repository's root as --source")
    return Catalog(specs, {spec.name: texts[f"services/{spec.name}/service.yaml"] for spec in specs})


def service_directory(source: dagger.Directory, name: str) -> dagger.Directory:
    """What a service's wheel is made of, and nothing that would make it anew without need."""
    directory = source.directory(str(PurePosixPath("services") / name))
    return directory.filter(include=["pyproject.toml", "README.md", "src/**"], exclude=["**/__pycache__"])
