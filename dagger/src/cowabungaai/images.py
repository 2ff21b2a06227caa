"""Builds the services' images: wheels in one stage, a final stage with neither pip, shell nor package manager."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass

import dagger
import yaml
from dagger import dag

from cowabungaai.catalog import ServiceSpec
from cowabungaai.sources import Project, service_directory

BUILD_IMAGE = "python:3.13-slim-trixie"
RUNTIME = "toolchain/images/runtime"
UV_LOCK = "toolchain/requirements/uv-program.lock"
BUILD_LOCK = "services/requirements-build.lock"
# Where Debian's Python looks for packages that are not Debian's.
SITE = "/usr/local/lib/python3.13/dist-packages"
# Stages fill a tree as it will lie in the image, so that the folders above the packages have their time set as well.
TREE = "/tree"
PLACED = f"{TREE}{SITE}"
USER = "65532:65532"
REGISTRY_PREFIX = "ghcr.io/cowabungaai"
# No file in an image is younger, so that its bytes do not tell when it was built; 2025-08-09.
SOURCE_DATE_EPOCH = 1754697600
STAMP = "find {0} -exec touch --no-dereference --date=@" + str(SOURCE_DATE_EPOCH) + " {{}} +"
BUILT_AT = "/built-at"
NOW = f"date +%s.%N > {BUILT_AT}"
DRIFT = "/drift.txt"
# Bytecode is compiled with hashes, not times, of the sources: the same bytes always, and no check at start.
COMPILE = "python -m compileall -q --invalidation-mode unchecked-hash -s {0} -p " + SITE + " {0}"


@dataclass(frozen=True)
class BuiltImage:
    """A service's image and what its report needs.

    Attributes:
        spec: The service.
        container: The image.
        built_at: One file per stage with the time, in seconds since 1970, at which it really ran; all from before this
            run means that the engine had the image in its cache.
        drift: File that names the Debian packages that are not as locked, a line each.
    """

    spec: ServiceSpec
    container: dagger.Container
    built_at: tuple[dagger.File, ...]
    drift: dagger.File


def builder(source: dagger.Directory, platform: dagger.Platform | None) -> dagger.Container:
    """The stage in which wheels are built and installed: Python, pip and the pinned uv."""
    return (
        dag.container(platform=platform)
        .from_(BUILD_IMAGE)
        .with_mounted_cache("/root/.cache/uv", dag.cache_volume("cowabungaai-uv"))
        .with_env_variable("UV_LINK_MODE", "copy")
        .with_env_variable("UV_NATIVE_TLS", "1")
        .with_env_variable("SOURCE_DATE_EPOCH", str(SOURCE_DATE_EPOCH))
        .with_env_variable("PIP_ROOT_USER_ACTION", "ignore")
        .with_mounted_file("/locks/uv.lock", source.file(UV_LOCK))
        .with_mounted_file("/locks/build.lock", source.file(BUILD_LOCK))
        .with_exec(["pip", "install", "--quiet", "--require-hashes", "-r", "/locks/uv.lock", "-r", "/locks/build.lock"])
    )


async def runtime_stage(project: Project, spec: ServiceSpec, platform: dagger.Platform | None) -> dagger.Container:
    """A stage that unpacked pinned Debian packages into /root-fs, what lies under a service's code; see assemble.py."""
    described = yaml.safe_load(await project.source.file(f"{RUNTIME}.yaml").contents())
    request = {
        "without": described["without"],
        "extra": spec.system_packages,
        "epoch": SOURCE_DATE_EPOCH,
        "locked": project.locked,
    }
    return (
        dag.container(platform=platform)
        .from_(BUILD_IMAGE)
        .with_mounted_cache(
            "/var/lib/apt/lists", dag.cache_volume("cowabungaai-apt"), sharing=dagger.CacheSharingMode.LOCKED
        )
        .with_mounted_file("/assemble.py", dag.current_module().source().file("src/cowabungaai/assemble.py"))
        .with_mounted_file("/runtime.lock", project.source.file(f"{RUNTIME}.lock"))
        .with_new_file("/request.json", json.dumps(request))
        .with_exec(["python", "/assemble.py", "/request.json", "/runtime.lock", "/root-fs", DRIFT])
        .with_exec(_shell(NOW))
    )


def _shell(script: str) -> list[str]:
    return ["sh", "-euc", script]


def wheel(source: dagger.Directory, spec: ServiceSpec, platform: dagger.Platform | None) -> dagger.File:
    """A service's wheel."""
    return (
        builder(source, platform)
        .with_mounted_directory("/src", service_directory(source, spec.name))
        .with_workdir("/src")
        .with_exec(["uv", "build", "--quiet", "--wheel", "--no-build-isolation", "--out-dir", "/wheels"])
        .with_exec(_shell(f"mv /wheels/*.whl /wheels/{spec.package}.zip"))
        .file(f"/wheels/{spec.package}.zip")
    )


def dependencies_stage(
    source: dagger.Directory,
    spec: ServiceSpec,
    platform: dagger.Platform | None = None,
    *,
    lock: str = "requirements.lock",
) -> dagger.Container:
    """A stage with the packages that a lock file of a service names, installed into PLACED."""
    return packages_stage(source, source.file(f"services/{spec.name}/{lock}"), platform)


def packages_stage(
    source: dagger.Directory, lock: dagger.File, platform: dagger.Platform | None = None
) -> dagger.Container:
    """A stage with the packages that a lock file names, installed into PLACED."""
    return (
        builder(source, platform)
        .with_mounted_file("/locks/requirements.lock", lock)
        .with_exec(
            _shell(
                f"uv pip install --quiet --no-deps --require-hashes --target {PLACED} -r /locks/requirements.lock\n"
                f"rm -rf {PLACED}/bin {PLACED}/.lock\n{COMPILE.format(PLACED)}\n{STAMP.format(TREE)}\n{NOW}"
            )
        )
    )


def code_stage(
    source: dagger.Directory, specs: list[ServiceSpec], platform: dagger.Platform | None = None
) -> dagger.Container:
    """A stage with the services' own wheels installed into PLACED, and the time at which it ran."""
    stage = builder(source, platform)
    for spec in specs:
        stage = stage.with_mounted_file(f"/wheels/{spec.package}.zip", wheel(source, spec, platform))
    return stage.with_exec(
        _shell(
            f"mkdir -p {PLACED}\nfor wheel in /wheels/*.zip; do python -m zipfile -e $wheel {PLACED}; done\n"
            f"{COMPILE.format(PLACED)}\n{STAMP.format(TREE)}\n{NOW}"
        )
    )


def writable_folders(spec: ServiceSpec, platform: dagger.Platform | None) -> dagger.Directory:
    """The folders that a service writes into, each its own and nobody else's."""
    making = f"install -d -m 0700 -o {USER.replace(':', ' -g ')} " + " ".join(f"{TREE}{path}" for path in spec.writable)
    stage = dag.container(platform=platform).from_(BUILD_IMAGE)
    return stage.with_exec(_shell(f"{making}\n{STAMP.format(TREE)}")).directory(TREE)


async def build(
    project: Project, name: str, flavor: str = "cpu", platform: dagger.Platform | None = None
) -> BuiltImage:
    """Build a service's image.

    Args:
        project: Sources and catalog.
        name: The service.
        flavor: cpu or gpu.
        platform: Such as linux/amd64; the engine's own where None.

    Raises:
        CatalogError: There is no such service or flavor.
    """
    spec = project.catalog.check_flavor(name, flavor)
    code = code_stage(project.source, project.catalog.dependencies(name), platform)
    dependencies = dependencies_stage(project.source, spec, platform)
    runtime = await runtime_stage(project, spec, platform)
    version = await version_of(project.source, name)
    reference = reference_of(name, version)
    container = (
        dag.container(platform=platform)
        .with_directory("/", runtime.directory("/root-fs"))
        .with_directory("/", dependencies.directory(TREE))
        .with_directory("/", code.directory(TREE))
    )
    if spec.writable:
        container = container.with_directory("/", writable_folders(spec, platform))
    container = (
        container.with_env_variable("PATH", "/usr/bin")
        .with_env_variable("PYTHONUNBUFFERED", "1")
        .with_env_variable("PYTHONDONTWRITEBYTECODE", "1")
        .with_user(USER)
        .with_workdir("/")
        .with_entrypoint(spec.entrypoint)
        .with_exposed_port(spec.port)
        .with_label("org.opencontainers.image.title", f"cowabungaai-{name}")
        .with_label("org.opencontainers.image.description", spec.summary)
        .with_label("org.opencontainers.image.version", version)
        .with_annotation("org.opencontainers.image.ref.name", reference)
        .with_annotation("io.containerd.image.name", reference)
    )
    built_at = tuple(stage.file(BUILT_AT) for stage in (runtime, dependencies, code))
    return BuiltImage(spec, container, built_at, runtime.file(DRIFT))


async def version_of(source: dagger.Directory, name: str) -> str:
    """A service's version, from its pyproject.toml."""
    text = await source.file(f"services/{name}/pyproject.toml").contents()
    return str(tomllib.loads(text)["project"]["version"])


def reference_of(name: str, version: str) -> str:
    """The name under which an image is packaged and published."""
    return f"{REGISTRY_PREFIX}/{name}:{version}"


def archive(image: BuiltImage) -> dagger.File:
    """The image as an OCI archive with zstd layers."""
    return image.container.as_tarball(
        forced_compression=dagger.ImageLayerCompression.Zstd, media_types=dagger.ImageMediaTypes.OCIMediaTypes
    )
