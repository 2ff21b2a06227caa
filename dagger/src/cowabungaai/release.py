# SPDX-License-Identifier: Apache-2.0
"""Puts a release together: a folder with everything that an enclave needs, and proof of what was done to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dagger
from dagger import dag
from pydantic import BaseModel, ConfigDict

from cowabungaai import bundles, pages, signing
from cowabungaai.bundles import Bundle
from cowabungaai.errors import ReleaseError
from cowabungaai.packages import Packaged, packaged_names, with_contents
from cowabungaai.scan import uploaded
from cowabungaai.signing import Signature
from cowabungaai.sources import Project
from cowabungaai.steps import step
from cowabungaai.tools import go_tool
from cowabungaai.wheels import BUILD_IMAGE, shell

# What an operator needs besides: they go along, since nothing can be fetched where they are used.
TOOLS = ("courier", "uds", "zarf")
SETTINGS = "uds-config.yaml"
PROOF = "airgap"


class Kept(BaseModel):
    """A file of a release.

    Attributes:
        path: In the release.
        size: Bytes.
        about: What it is.
    """

    model_config = ConfigDict(frozen=True)

    path: str
    size: int
    about: str


@dataclass(frozen=True)
class Deployed:
    """A bundle of a release.

    Attributes:
        path: In the release.
        settings: Path of what can be set in it.
        proof: Path of the folder that tells how it was installed without a network.
        file: The bundle.
    """

    path: str
    settings: str
    proof: str
    file: dagger.File


@dataclass(frozen=True)
class Made:
    """What a release carries.

    Attributes:
        folder: packages/ and bundles/, signed, and tools/.
        bundles: Of it.
        files: All of it, for the index.
    """

    folder: dagger.Directory
    bundles: tuple[Deployed, ...]
    files: tuple[Kept, ...]


async def packages(
    project: Project,
    services: Sequence[str],
    wanted: Sequence[Bundle],
    flavor: str,
    models: dagger.Directory | None = None,
) -> dict[str, Packaged]:
    """The packages of services that have one, and of bundles, by their services.

    Args:
        project: Sources and catalog.
        services: Names.
        wanted: Bundles that are made of them.
        flavor: cpu or gpu.
        models: A folder of models that are packaged in place of the default ones.
    """
    known = packaged_names(await project.source.glob("packages/*/zarf.yaml"))
    needed = {service for bundle in wanted for service in bundle.services}
    names = sorted({name for name in services if name in known} | needed)
    made = await bundles.packages_of(project, names, flavor, models)
    return {name: await with_contents(project.source, packaged) for name, packaged in made.items()}


async def made(
    project: Project, packaged: Mapping[str, Packaged], wanted: Sequence[Bundle], signature: Signature
) -> Made:
    """Sign packages, and make bundles of the signed ones.

    Args:
        project: Sources and catalog.
        packaged: By their services.
        wanted: Bundles.
        signature: How it is signed.
    """
    of_bundles, public = await bundles.signed(project, packaged, signature)
    files = {f"packages/{one.report.file}": (one.file, f"package of {name}") for name, one in of_bundles.items()}
    deployed = []
    for bundle in wanted:
        async with step(f"bundle {bundle.name}"):
            folder = await bundles.uds_bundle(project, bundle, of_bundles, public_key=public)
            (name,) = await folder.glob("*.tar.zst")
        proof = PROOF if len(wanted) == 1 else f"{PROOF}/{bundle.name}"
        done = Deployed(f"bundles/{name}", f"bundles/{bundle.name}-{SETTINGS}", proof, folder.file(name))
        deployed.append(done)
        files[done.path] = (done.file, f"bundle {bundle.name}: {', '.join(bundle.services)}")
        files[done.settings] = (folder.file(SETTINGS), f"what can be set in {bundle.name}")
    for tool in TOOLS:
        files[f"tools/{tool}"] = (await go_tool(project.source, tool), "program for the operator")
    output = dag.directory()
    kept = []
    for path, (file, about) in files.items():
        output = output.with_file(path, file)
        kept.append(Kept(path=path, size=await file.size(), about=about))
    return Made(output, tuple(deployed), tuple(kept))


async def check_attachments(folder: dagger.Directory) -> None:
    """Refuse what `courier checksums` would, before hours of work.

    Args:
        folder: What is to go along.

    Raises:
        ReleaseError: There is something besides files and folders in it.
    """
    looked = (
        dag.container().from_(BUILD_IMAGE).with_mounted_directory("/attachments", folder).with_workdir("/attachments")
    )
    strange = await looked.with_exec(["find", ".", "-not", "-type", "f", "-not", "-type", "d"]).stdout()
    if strange:
        raise ReleaseError(f"--attachments: expected files and folders, got {', '.join(strange.split())}")


def assets(folder: dagger.Directory) -> dagger.Directory:
    """A release as a list of files, for places that know no folders.

    Packages and bundles stay files, each with its provenance beside it; all else is in one archive with its paths, so
    that the folder can be put together again.

    Args:
        folder: The release.
    """
    archive = (
        "chmod +x tools/*\n"
        "tar --create --sort=name --owner=0 --group=0 --numeric-owner --anchored \\\n"
        "    --exclude='./packages/*.tar.zst' --exclude='./bundles/*.tar.zst' . \\\n"
        "  | gzip -n > /release.tar.gz"
    )
    rest = (
        dag.container()
        .from_(BUILD_IMAGE)
        .with_directory("/release", folder)
        .with_workdir("/release")
        .with_exec(shell(archive))
    )
    flat = dag.directory().with_file("release.tar.gz", rest.file("/release.tar.gz"))
    for name in ("packages", "bundles"):
        flat = flat.with_directory("/", folder.directory(name), include=["*.tar.zst"])
    return flat.with_directory("/", folder.directory(signing.PROVENANCE))


def instructions(made: Made, version: str, *, attached: bool = False) -> dagger.Directory:
    """index.html for whoever opens the media, and INSTALL.md.

    Args:
        made: What the release carries.
        version: Of it.
        attached: Whether there is a folder attachments/.
    """
    folder = dag.directory()
    title = f"CowabungaAI {version}"
    for template, name in (("release_index.html.j2", "index.html"), ("install.md.j2", "INSTALL.md")):
        text = pages.render(template, title=title, files=made.files, bundles=made.bundles, attached=attached)
        folder = folder.with_file(name, uploaded(text, name))
    return folder
