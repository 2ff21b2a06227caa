# SPDX-License-Identifier: Apache-2.0
"""Makes the bills of materials of images, and holds them against what went into the image."""

from __future__ import annotations

import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import anyio
import dagger
from dagger import dag
from packaging.utils import canonicalize_name

from cowabungaai import images, sbom, sbom_bytes
from cowabungaai.archives import facts_of
from cowabungaai.errors import PipelineError, SbomError
from cowabungaai.images import BuiltImage
from cowabungaai.report import archive_name
from cowabungaai.sbom import Packages
from cowabungaai.scan import OFFLINE, REPORTING, trivy_container, uploaded
from cowabungaai.sources import Project
from cowabungaai.steps import outcomes
from cowabungaai.trivy_report import parse_report
from cowabungaai.wheels import GPU_LOCK, LOCK, SITE, SOURCE_DATE_EPOCH

RECORDS = "/var/lib/dpkg/status.d"
FORMS = (("spdx-json", "spdx.json", sbom.read_spdx), ("cyclonedx", "cdx.json", sbom.read_cyclonedx))
CREATED = datetime.fromtimestamp(SOURCE_DATE_EPOCH, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class Documents:
    """A service's bills of materials.

    Attributes:
        folder: Holds them.
        packages: What they name.
    """

    folder: dagger.Directory
    packages: Packages


async def make(project: Project, names: Sequence[str], flavor: str) -> dagger.Directory:
    """Bills of materials of services' images: <service>.spdx.json and <service>.cdx.json.

    Args:
        project: Sources and catalog.
        names: The services.
        flavor: cpu or gpu; each of them has it.

    Raises:
        SbomError: One or more are not complete; the message tells what is missing, and of those that are complete.
    """
    trivy = await trivy_container(project.source)

    async def one(name: str) -> Documents:
        return await _documents(project, await images.build(project, name, flavor), flavor, trivy)

    ended = await outcomes("bill of materials of", names, one)
    lines = [
        str(result) if isinstance(result, PipelineError) else _told(name, result) for name, result in ended.items()
    ]
    if any(isinstance(result, PipelineError) for result in ended.values()):
        raise SbomError("\n".join(lines))
    print("\n".join(lines))
    output = dag.directory()
    for result in ended.values():
        if isinstance(result, Documents):
            output = output.with_directory("/", result.folder)
    return output


def _told(name: str, documents: Documents) -> str:
    packages = documents.packages
    return f"{name}: complete, {len(packages.debian)} Debian and {len(packages.python)} Python packages"


async def _documents(project: Project, image: BuiltImage, flavor: str, trivy: dagger.Container) -> Documents:
    name = archive_name(image.spec.name, flavor)
    archive = await images.archive(project, image)
    made = (
        trivy.with_mounted_file(f"/scanned/{name}", archive)
        .with_workdir("/scanned")
        .with_exec(
            ["trivy", "image", *OFFLINE, *REPORTING, "--scanners=license", "--output=/report.json", f"--input={name}"]
        )
    )
    for form, ending, _ in FORMS:
        made = made.with_exec(
            ["trivy", "convert", "--quiet", f"--format={form}", f"--output=/{ending}", "/report.json"]
        )
    expected = await _expected(project, image, flavor)
    carried = sbom.carried_along(parse_report(await made.file("/report.json").contents(), name), SITE.removeprefix("/"))
    seed = (await facts_of(archive, name)).digest
    folder, lines = dag.directory(), []
    for _, ending, read in FORMS:
        file = f"{name.removesuffix('.tar')}.{ending}"
        text = sbom_bytes.reproducible(await made.file(f"/{ending}").contents(), seed, CREATED)
        lines += sbom.problems(expected, read(text, file), file, carried)
        folder = folder.with_file(file, uploaded(text, file))
    if lines:
        raise SbomError("\n".join(lines))
    return Documents(folder, expected)


async def _expected(project: Project, image: BuiltImage, flavor: str) -> Packages:
    """What is in an image, by its records of Debian packages, its lock file, and our own packages' versions."""
    with tempfile.TemporaryDirectory() as folder:
        await image.container.directory(RECORDS).export(folder)
        records = await anyio.to_thread.run_sync(lambda: [file.read_text() for file in sorted(Path(folder).iterdir())])
    debian = sbom.debian_packages(records)
    environment = sbom.marker_environment(debian, await image.container.platform())
    lock = f"services/{image.spec.name}/{GPU_LOCK if flavor == 'gpu' else LOCK}"
    python = sbom.locked_packages(await project.source.file(lock).contents(), environment, lock)
    for spec in project.catalog.dependencies(image.spec.name):
        text = await project.source.file(f"services/{spec.name}/pyproject.toml").contents()
        described = tomllib.loads(text)["project"]
        python.setdefault(canonicalize_name(described["name"]), set()).add(described["version"])
    return Packages(debian, python)
