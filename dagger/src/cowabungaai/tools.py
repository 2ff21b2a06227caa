"""Tools inside the pipeline: built by the engine from the same pinned Go modules as on the machine."""

from __future__ import annotations

import json

import dagger
from dagger import dag

from cowabungaai.errors import BuildError
from cowabungaai.wheels import BUILD_IMAGE

REQUIREMENTS = "toolchain/requirements"


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
    binary = described["binaries"][name]
    command = ["go", "build", "-mod=readonly", "-trimpath", "-buildvcs=false", f"-ldflags={binary['ldflags']}"]
    if binary["tags"]:
        command.append(f"-tags={','.join(binary['tags'])}")
    stage = (
        dag.container()
        .from_(BUILD_IMAGE)
        .with_mounted_file("/locks/go.lock", source.file(f"{REQUIREMENTS}/{described['compiler']}.lock"))
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
    for variable, value in described.get("env", {}).items():
        stage = stage.with_env_variable(variable, value)
    return (
        stage.with_mounted_directory("/module", module)
        .with_workdir("/module")
        .with_exec([*command, "-o", f"/out/{name}", binary["package"]])
        .file(f"/out/{name}")
    )
