# SPDX-License-Identifier: Apache-2.0
"""Makes Zarf packages straight from the built images, without a registry."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

import dagger
import yaml
from dagger import dag

from cowabungaai.archives import definition_of, facts_of
from cowabungaai.catalog import ServiceSpec
from cowabungaai.errors import BuildError
from cowabungaai.images import archive, build, tag_of, version_of
from cowabungaai.package_report import (
    GPU_VALUES,
    MODEL_COMPONENT,
    PackagedModel,
    PackageReport,
    check_package_budget,
    contents_digest,
)
from cowabungaai.sources import Project
from cowabungaai.tools import go_tool
from cowabungaai.weights import Brought, Weights, default_weights, documentation, weights_archive, weights_of
from cowabungaai.wheels import BUILD_IMAGE, SOURCE_DATE_EPOCH, shell

# The folder of what all packages import, beside theirs.
SHARED = "common"
COMMON = f"packages/{SHARED}"
UPSTREAM = "upstream"
HARDENED = "hardened"
ZARF_CACHE = "/root/.zarf-cache"
# Zarf notes a package's name in a label, which may have 63 characters.
NAME_LENGTH = 44


@dataclass(frozen=True)
class Wanted:
    """How a service is packaged.

    Attributes:
        flavor: cpu or gpu.
        model: A model in place of the service's default one.
        with_weights: Whether the package brings the weights, or expects them in the enclave.
        base: Image to build on in place of Debian's packages; that is Zarf's flavor hardened.
    """

    flavor: str = "cpu"
    model: Brought | None = None
    with_weights: bool = True
    base: str = ""


@dataclass(frozen=True)
class Packaged:
    """A package, and what its report tells of it."""

    file: dagger.File
    report: PackageReport


def packaged_names(paths: list[str]) -> list[str]:
    """The services that have a package.

    Args:
        paths: Of all zarf.yaml below packages/.
    """
    return sorted(name for path in paths if (name := path.split("/")[1]) != SHARED)


async def zarf_package(project: Project, name: str, wanted: Wanted) -> Packaged:
    """A service's Zarf package.

    Args:
        project: Sources and catalog.
        name: The service.
        wanted: How it is packaged.

    Raises:
        CatalogError: There is no such service or flavor.
        BuildError: The service has no folder below packages/, or no model, or the package is over its budget.
    """
    source = project.source
    spec = project.catalog.check_flavor(name, wanted.flavor)
    packaged = packaged_names(await source.glob("packages/*/zarf.yaml"))
    if name not in packaged:
        raise BuildError(f"service {name!r} has no packages/{name}/zarf.yaml; those that have: {', '.join(packaged)}")
    described = await source.file(f"packages/{name}/zarf.yaml").contents()
    weights = await _weights(project, spec, described, wanted)
    image = await build(project, name, wanted.flavor, base=wanted.base)
    image_file = await archive(project, image)
    version = tag_of(await version_of(source, name), wanted.flavor)
    described = with_values(
        described, weights=wanted.with_weights, gpu=wanted.flavor == "gpu" and bool(await gpu_values(source, name))
    )
    folder = _folder(source, name, described)
    folder = folder.with_file(f"{COMMON}/images/service.tar", image_file)
    facts = await facts_of(image_file, f"{name}.tar")
    # Pods name the digest: another image of the same version replaces them, and an older one is found again.
    values = {"VERSION": version, "IMAGE": image.reference, "IMAGE_DIGEST": facts.digest}
    model_file = None
    if weights:
        values["MODEL_IMAGE"] = weights.facts.reference
        folder = folder.with_new_file(f"packages/{name}/documentation/MODEL.md", documentation(weights.facts))
        if wanted.with_weights:
            model_file = await weights_archive(project, weights)
            folder = folder.with_file(f"{COMMON}/images/model.tar", model_file)
    file = await _created(source, folder.directory("packages"), name, HARDENED if wanted.base else UPSTREAM, values)
    model = None
    if weights:
        model = PackagedModel(
            id=weights.facts.id,
            licence=weights.facts.licence,
            digest=weights.facts.digest,
            image=weights.facts.reference,
            size=await model_file.size() if model_file else 0,
        )
    report = PackageReport(
        service=name,
        flavor=wanted.flavor,
        variant=HARDENED if wanted.base else UPSTREAM,
        file=await file.name(),
        version=version,
        size=await file.size(),
        image=facts.image,
        image_digest=facts.digest,
        model=model,
        # How large a base is that somebody brings is for them to say.
        budget=None if wanted.base else spec.image.package_budget(wanted.flavor),
    )
    check_package_budget(report, spec.image.package_field(wanted.flavor))
    return Packaged(file, report)


async def with_contents(source: dagger.Directory, packaged: Packaged) -> Packaged:
    """The same package, whose report has the digest of its contents.

    Args:
        source: The root of the repository.
        packaged: The package.
    """
    digest = contents_digest(await definition_of(source, packaged.file))
    return replace(packaged, report=packaged.report.model_copy(update={"contents": digest}))


async def model_package(project: Project, model: Brought) -> dagger.File:
    """A Zarf package of nothing but weights, for services that are there already.

    Args:
        project: Sources and catalog.
        model: The model.

    Raises:
        BuildError: The folder's files are not those of its manifest.
    """
    weights = await weights_of(project, model)
    facts = weights.facts
    described = {
        "kind": "ZarfPackageConfig",
        "metadata": {
            "name": f"cowabungaai-model-{facts.name[:NAME_LENGTH].strip('-')}",
            "description": f"Weights of {facts.id}",
            "version": facts.version,
        },
        "documentation": {"model": "MODEL.md"},
        "components": [{"name": MODEL_COMPONENT, "default": True, "import": {"path": f"../{SHARED}"}}],
    }
    folder = (
        dag.directory()
        .with_directory("/", project.source.filter(include=[f"{COMMON}/zarf.yaml"]))
        .with_new_file(f"packages/{MODEL_COMPONENT}/zarf.yaml", yaml.safe_dump(described, sort_keys=False))
        .with_new_file(f"packages/{MODEL_COMPONENT}/MODEL.md", documentation(facts, alone=True))
        .with_timestamps(SOURCE_DATE_EPOCH)
        .with_file(f"{COMMON}/images/model.tar", await weights_archive(project, weights))
    )
    values = {"MODEL_IMAGE": facts.reference}
    return await _created(project.source, folder.directory("packages"), MODEL_COMPONENT, UPSTREAM, values)


async def _weights(project: Project, spec: ServiceSpec, described: str, wanted: Wanted) -> Weights | None:
    components = {component["name"] for component in yaml.safe_load(described)["components"]}
    if MODEL_COMPONENT in components:
        return await weights_of(project, wanted.model or default_weights(project, spec))
    if wanted.model is not None:
        raise BuildError(f"service {spec.name!r} serves no models; leave out --model")
    return None


async def gpu_values(source: dagger.Directory, name: str) -> dict[str, Any]:
    """What a service's chart gets on top of its values with the flavor gpu; empty where it is made for nothing else.

    Args:
        source: The root of the repository.
        name: The service.
    """
    file = f"packages/{name}/{GPU_VALUES}"
    return dict(yaml.safe_load(await source.file(file).contents())) if await source.glob(file) else {}


def with_values(described: str, *, weights: bool, gpu: bool) -> str:
    """A package's zarf.yaml as it is made this time.

    Args:
        described: As it lies in packages/.
        weights: Whether it brings them; else it lacks their component.
        gpu: Whether its charts get the values for GPUs on top of the others.
    """
    package = yaml.safe_load(described)
    package["components"] = [one for one in package["components"] if weights or one["name"] != MODEL_COMPONENT]
    for chart in (chart for component in package["components"] for chart in component.get("charts", []) if gpu):
        chart["valuesFiles"].append(GPU_VALUES)
    return yaml.safe_dump(package, sort_keys=False)


def _folder(source: dagger.Directory, name: str, described: str) -> dagger.Directory:
    """The sources of a package, with its documentation.

    Args:
        source: The root of the repository.
        name: The service.
        described: Its zarf.yaml.
    """
    folder = dag.directory().with_directory(
        "/", source.filter(include=[f"{COMMON}/**", f"packages/{name}/**"], exclude=["**/charts/*.tgz"])
    )
    for document in map(PurePosixPath, (f"services/{name}/README.md", "docs/charts.md")):
        folder = folder.with_file(f"packages/{name}/documentation/{document.name}", source.file(str(document)))
    # Helm notes files' times in the archives of charts that it makes.
    return folder.with_new_file(f"packages/{name}/zarf.yaml", described).with_timestamps(SOURCE_DATE_EPOCH)


async def _created(
    source: dagger.Directory, folder: dagger.Directory, name: str, variant: str, values: dict[str, str]
) -> dagger.File:
    settings = [f"--set={key}={value}" for key, value in values.items()]
    command = ["zarf", "package", "create", ".", "--confirm", "--no-color", f"--flavor={variant}", "--output=/out"]
    run = (
        dag.container()
        .from_(BUILD_IMAGE)
        .with_mounted_file("/usr/local/bin/zarf", await go_tool(source, "zarf"))
        .with_mounted_directory("/packages", folder)
        .with_workdir(f"/packages/{name}")
        # What zarf unpacked for the bills of materials would stay in the engine's cache, several times the package.
        .with_exec(shell(f"{shlex.join([*command, *settings])}\nrm -rf {ZARF_CACHE}"))
    )
    files = await run.directory("/out").glob("*.tar.zst")
    if len(files) != 1:
        raise BuildError(f"zarf made {len(files)} packages of {name}, expected one")
    return run.directory("/out").file(files[0])
