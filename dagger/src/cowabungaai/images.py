# SPDX-License-Identifier: Apache-2.0
"""Builds the services' images: wheels in one stage, a final stage with neither pip, shell nor package manager."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from typing import Any

import dagger
import yaml
from dagger import dag

from cowabungaai.archives import Layer, image_archive
from cowabungaai.catalog import ServiceSpec
from cowabungaai.errors import BuildError
from cowabungaai.here import naming_what_lacks
from cowabungaai.sources import Project
from cowabungaai.wheels import (
    BUILD_IMAGE,
    BUILT_AT,
    GPU_LOCK,
    LOCK,
    NOW,
    SITE,
    SOURCE_DATE_EPOCH,
    STAMP,
    TREE,
    code_stage,
    dependencies_stages,
    shell,
    with_apt,
)

RUNTIME = "toolchain/images/runtime"
USER = "65532:65532"
PATH = "/usr/local/bin:/usr/bin:/bin"
REGISTRY_PREFIX = "ghcr.io/cowabungaai"
DRIFT = "/drift.txt"


@dataclass(frozen=True)
class BuiltImage:
    """A service's image and what its report needs.

    Attributes:
        spec: The service.
        container: The image, to be run.
        layers: The image's, the first lowest, to be packed.
        config: The image's, as OCI has it.
        reference: The name under which it is packaged.
        built_at: One file per stage with the time, in seconds since 1970, at which it really ran; all from before this
            run means that the engine had the image in its cache.
        drift: File that names the Debian packages that are not as locked, a line each.
    """

    spec: ServiceSpec
    container: dagger.Container
    layers: tuple[Layer, ...]
    config: dict[str, Any]
    reference: str
    built_at: tuple[dagger.File, ...]
    drift: dagger.File


async def runtime_stage(project: Project, spec: ServiceSpec, platform: dagger.Platform | None) -> dagger.Container:
    """A stage that unpacked pinned Debian packages into /root-fs, what lies under a service's code; see assemble.py."""
    described = yaml.safe_load(await project.source.file(f"{RUNTIME}.yaml").contents())
    request = {
        "packages": [*described["packages"], *spec.system_packages],
        "without": described["without"],
        "epoch": SOURCE_DATE_EPOCH,
        "locked": project.locked,
    }
    return (
        with_apt(dag.container(platform=platform).from_(BUILD_IMAGE))
        .with_mounted_file("/assemble.py", dag.current_module().source().file("src/cowabungaai/assemble.py"))
        .with_mounted_file("/runtime.lock", project.source.file(f"{RUNTIME}.lock"))
        .with_new_file("/request.json", json.dumps(request))
        .with_exec(["python", "/assemble.py", "/request.json", "/runtime.lock", "/root-fs", DRIFT])
        .with_exec(shell(NOW))
    )


def writable_folders(spec: ServiceSpec, platform: dagger.Platform | None) -> dagger.Directory:
    """The folders that a service writes into, each its own and nobody else's."""
    making = f"install -d -m 0700 -o {USER.replace(':', ' -g ')} " + " ".join(f"{TREE}{path}" for path in spec.writable)
    stage = dag.container(platform=platform).from_(BUILD_IMAGE)
    return stage.with_exec(shell(f"{making}\n{STAMP.format(TREE)}")).directory(TREE)


async def build(
    project: Project, name: str, flavor: str = "cpu", platform: dagger.Platform | None = None, base: str = ""
) -> BuiltImage:
    """Build a service's image.

    Args:
        project: Sources and catalog.
        name: The service.
        flavor: cpu or gpu.
        platform: Such as linux/amd64; the engine's own where None.
        base: Image to build on in place of Debian's packages; it has Python 3.13 and the libraries that it needs.

    Raises:
        CatalogError: There is no such service or flavor.
        CannotBuildError: As build_with.
    """
    spec = project.catalog.check_flavor(name, flavor)
    version = tag_of(await version_of(project.source, name), flavor, hardened=bool(base))
    return await build_with(project, spec, GPU_LOCK if flavor == "gpu" else LOCK, version, platform=platform, base=base)


async def build_with(
    project: Project,
    spec: ServiceSpec,
    lock: str,
    tag: str,
    *,
    platform: dagger.Platform | None = None,
    base: str = "",
) -> BuiltImage:
    """Build a service's image from one of its lock files; what changes most often lies in the last layer.

    Args:
        project: Sources and catalog.
        spec: The service.
        lock: The file's name in the service's folder.
        tag: Of the image's name.
        platform: Such as linux/amd64; the engine's own where None.
        base: Image to build on in place of Debian's packages.

    Raises:
        CannotBuildError: The engine's disk has no room for an image of the gpu flavor, or the mirror lacks a wheel.
    """
    code = code_stage(project.source, project.catalog.dependencies(spec.name), platform)
    dependencies = await dependencies_stages(project.source, spec, platform, lock=lock)
    if lock == GPU_LOCK and spec.image.room_mb:
        with naming_what_lacks(spec, "gpu"):
            await dependencies[0].sync()
    runtime = await runtime_stage(project, spec, platform)
    if base:
        given = dag.container(platform=platform).from_(base)
        layers = [Layer(given.rootfs(), base)]
    else:
        layers = [Layer(runtime.directory("/root-fs"), "Debian packages")]
    layers += [Layer(stage.directory(TREE), "Python packages") for stage in dependencies]
    layers.append(Layer(code.directory(TREE), "the service"))
    if spec.writable:
        layers.append(Layer(writable_folders(spec, platform), "folders that the service writes into"))
    container = dag.container(platform=platform)
    for layer in layers:
        container = container.with_directory("/", layer.tree)
    config = config_of(spec, tag, {"PYTHONPATH": SITE} if base else {})
    if base:
        config["Labels"] |= labels_of_base(await given.image_ref())
    container = configured(container, config)
    if base:
        await check_base(container, spec, base)
    return BuiltImage(
        spec,
        container,
        tuple(layers),
        config,
        reference_of(spec.name, tag),
        tuple(stage.file(BUILT_AT) for stage in (runtime, *dependencies, code)),
        runtime.file(DRIFT),
    )


async def check_base(container: dagger.Container, spec: ServiceSpec, base: str) -> None:
    """Refuse a base image on which a service's code cannot be loaded.

    Args:
        container: The service's image on that base.
        spec: The service.
        base: The base image's name.

    Raises:
        BuildError: It lacks Python, has another one, or lacks a library.
    """
    try:
        await container.with_exec(["python3", "-c", f"import {spec.package}"]).sync()
    except dagger.ExecError as error:
        raise BuildError(
            f"service {spec.name} does not load on the base image {base}: it needs Python 3.13 as python3 on {PATH}, "
            f"and the libraries of toolchain/images/runtime.yaml: {error.stderr.strip() or error}"
        ) from error


def labels_of_base(reference: str) -> dict[str, str]:
    """How OCI has an image say on which it stands; provenance is made of it.

    Args:
        reference: With a digest.
    """
    name, _, digest = reference.partition("@")
    return {"org.opencontainers.image.base.name": name, "org.opencontainers.image.base.digest": digest}


def config_of(spec: ServiceSpec, version: str, more: dict[str, str]) -> dict[str, Any]:
    """What an image says of how it is run, as OCI has it.

    Args:
        spec: The service.
        version: Of the image.
        more: Variables that this image needs besides, such as where a Python that is not Debian's finds packages.
    """
    variables = {
        "PATH": PATH,
        **more,
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        **spec.environment,
    }
    return {
        "User": USER,
        "WorkingDir": "/",
        "Entrypoint": spec.entrypoint,
        "ExposedPorts": {f"{spec.port}/tcp": {}},
        "Env": [f"{name}={value}" for name, value in variables.items()],
        "Labels": {
            "org.opencontainers.image.title": f"cowabungaai-{spec.name}",
            "org.opencontainers.image.description": spec.summary,
            "org.opencontainers.image.version": version,
        },
    }


def configured(container: dagger.Container, config: dict[str, Any]) -> dagger.Container:
    """A container that is run as an image's config says.

    Args:
        container: Holds the image's files.
        config: As `config_of` makes it.
    """
    for variable in config["Env"]:
        container = container.with_env_variable(*variable.split("=", 1))
    for name, value in config["Labels"].items():
        container = container.with_label(name, value)
    for port in config["ExposedPorts"]:
        container = container.with_exposed_port(int(port.removesuffix("/tcp")))
    return container.with_user(config["User"]).with_workdir(config["WorkingDir"]).with_entrypoint(config["Entrypoint"])


async def version_of(source: dagger.Directory, name: str) -> str:
    """A service's version, from its pyproject.toml."""
    text = await source.file(f"services/{name}/pyproject.toml").contents()
    return str(tomllib.loads(text)["project"]["version"])


def tag_of(version: str, flavor: str, *, hardened: bool = False) -> str:
    """The tag of a service's image.

    Args:
        version: Of the service.
        flavor: cpu or gpu.
        hardened: Whether it stands on an image that was given.
    """
    return version + ("-gpu" if flavor == "gpu" else "") + ("-hardened" if hardened else "")


def reference_of(name: str, tag: str) -> str:
    """The name under which an image is packaged; registries.yaml tells under which it is published."""
    return f"{REGISTRY_PREFIX}/{name}:{tag}"


async def archive(project: Project, image: BuiltImage) -> dagger.File:
    """The image as an OCI archive with zstd layers; its bytes follow from the image's files and settings alone.

    Args:
        project: Sources and catalog.
        image: Of the service.
    """
    platform = await image.container.platform()
    return image_archive(project.source, image.layers, image.reference, image.config, platform)
