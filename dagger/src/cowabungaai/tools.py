# SPDX-License-Identifier: Apache-2.0
"""Tools inside the pipeline: built by the engine from the same pinned Go modules as on the machine."""

from __future__ import annotations

import json

import dagger
from dagger import dag

from cowabungaai.errors import BuildError
from cowabungaai.wheels import BUILD_IMAGE

REQUIREMENTS = "toolchain/requirements"
# Which Go reads modules of which nothing is compiled.
COMPILER = "go"


async def go_tool(source: dagger.Directory, name: str) -> dagger.File:
    """A tool's program, compiled from `toolchain/go/<name>`.

    Args:
        source: The root of the repository.
        name: The tool's folder, and the name of its program.

    Raises:
        BuildError: There is no such tool.
    """
    known = sorted(path.split("/")[2] for path in await source.glob("toolchain/go/*/build.json"))
    if name not in known:
        raise BuildError(f"no tool is named {name!r}; the tools are: {', '.join(known)}")
    module = source.directory(f"toolchain/go/{name}")
    described = json.loads(await module.file("build.json").contents())
    if name not in described["binaries"]:
        raise BuildError(f"{name} is no tool of its own, but several: {', '.join(described['binaries'])}")
    binary = described["binaries"][name]
    command = ["go", "build", "-mod=readonly", "-trimpath", "-buildvcs=false", f"-ldflags={binary['ldflags']}"]
    if binary["tags"]:
        command.append(f"-tags={','.join(binary['tags'])}")
    stage = _go(source, described["compiler"])
    for variable, value in described.get("env", {}).items():
        stage = stage.with_env_variable(variable, value)
    return (
        stage.with_mounted_directory("/module", module)
        .with_workdir("/module")
        .with_exec([*command, "-o", f"/out/{name}", binary["package"]])
        .file(f"/out/{name}")
    )


async def go_module_file(source: dagger.Directory, folder: str, module: str, path: str) -> dagger.File:
    """A file that a Go module carries.

    Args:
        source: The root of the repository.
        folder: Below toolchain/go; its go.mod and go.sum pin the module.
        module: The module's path.
        path: The file's, inside the module.

    Raises:
        BuildError: There is no such folder.
    """
    if not await source.glob(f"toolchain/go/{folder}/go.mod"):
        raise BuildError(f"no toolchain/go/{folder}/go.mod in the source directory")
    # The module lies in a cache, which a later step may find empty: the file is copied out of it.
    copy = 'go mod download "$1" && install -D "$(go list -m -f \'{{.Dir}}\' "$1")/$2" /out/file'
    return (
        _go(source, COMPILER)
        .with_mounted_directory("/module", source.directory(f"toolchain/go/{folder}"))
        .with_workdir("/module")
        .with_exec(["sh", "-ec", copy, "sh", module, path])
        .file("/out/file")
    )


def _go(source: dagger.Directory, compiler: str) -> dagger.Container:
    """A container with a pinned Go; `compiler` is the name of its lock file."""
    return (
        dag.container()
        .from_(BUILD_IMAGE)
        .with_mounted_file("/locks/go.lock", source.file(f"{REQUIREMENTS}/{compiler}.lock"))
        .with_exec(
            [
                "pip",
                "install",
                "--quiet",
                "--no-deps",
                "--no-compile",
                "--require-hashes",
                "--target",
                "/go-program",
                "-r",
                "/locks/go.lock",
            ]
        )
        .with_env_variable("PATH", "/go-program/go/bin:$PATH", expand=True)
        .with_env_variable("GOMODCACHE", "/go-cache/modules")
        .with_env_variable("GOCACHE", "/go-cache/build")
        .with_mounted_cache("/go-cache/modules", dag.cache_volume("cowabungaai-go-modules"))
        .with_mounted_cache("/go-cache/build", dag.cache_volume("cowabungaai-go-build"))
        .with_env_variable("GOTOOLCHAIN", "local")
        .with_env_variable("GOWORK", "off")
    )
