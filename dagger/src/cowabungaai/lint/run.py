# SPDX-License-Identifier: Apache-2.0
"""Runs checks, each in a container that holds what it needs."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import dagger
from dagger import dag

from cowabungaai.catalog import parse
from cowabungaai.errors import CatalogError, StepError
from cowabungaai.lint.check import Check, chosen
from cowabungaai.lint.table import table
from cowabungaai.sources import load_catalog
from cowabungaai.steps import for_each
from cowabungaai.tools import go_module_file, go_tool
from cowabungaai.wheels import BUILD_IMAGE, builder, split_lock

# The one that is no program: service.yaml files.
CATALOG = "services"
MAX_LINES = 200


async def run_checks(source: dagger.Directory, only: Sequence[str] = ()) -> list[str]:
    """Run checks side by side.

    Args:
        source: The repository.
        only: Names of checks, or of groups such as mypy; none means all.

    Returns:
        The checks' names.

    Raises:
        StepError: One or more found something, and the message tells all of it; or there is no such check.
    """
    services = sorted(path.split("/")[1] for path in await source.glob("services/*/pyproject.toml"))
    checks = {check.name: check for check in table(services)}

    async def one(name: str) -> None:
        if name == CATALOG:
            await load_catalog(source)
        else:
            await _run(source, checks[name])

    return list(await for_each("lint", chosen([*checks, CATALOG], only), one))


async def _run(source: dagger.Directory, check: Check) -> None:
    container = await _container(source, check)
    found = []
    for command in check.commands:
        run = container.with_exec(list(command), expect=dagger.ReturnType.ANY)
        if code := await run.exit_code():
            found += complaint(command, code, await run.stdout() + await run.stderr())
    if found:
        raise StepError("\n".join([f"lint {check.name} found:", *shortened(found)]))


async def _container(source: dagger.Directory, check: Check) -> dagger.Container:
    container = dag.container().from_(BUILD_IMAGE).with_env_variable("PYTHONDONTWRITEBYTECODE", "1")
    for tool in check.tools:
        container = container.with_mounted_file(f"/usr/local/bin/{tool}", await go_tool(source, tool))
    for file in check.files:
        found = await go_module_file(source, file.folder, file.module, file.path)
        container = container.with_mounted_file(file.mounted, found)
    folders = {f"/packages/{number}": lock for number, lock in enumerate(check.packages)}
    for folder, lock in folders.items():
        container = container.with_mounted_directory(folder, await _packages(source, lock))
    programs = ":".join(f"{folder}/bin" for folder in folders)
    return (
        container.with_env_variable("PYTHONPATH", ":".join([*folders, *(f"/source/{one}" for one in check.imports)]))
        .with_env_variable("PATH", f"$PATH:{programs}", expand=True)
        .with_mounted_directory("/source", source.filter(include=list(check.needs)))
        .with_workdir("/source")
    )


def complaint(command: Sequence[str], code: int, output: str) -> list[str]:
    """What a command that failed has to say; one that was killed says nothing, and has found nothing for that.

    Args:
        command: Program and arguments.
        code: Its exit code.
        output: All that it wrote.
    """
    return output.splitlines() or [f"{shlex.join(command)} ended with exit code {code}, and said nothing"]


def shortened(lines: list[str]) -> list[str]:
    """The first lines of many, and how many were left out."""
    left_out = len(lines) - MAX_LINES
    return [*lines[:MAX_LINES], *([f"... and {left_out} more lines"] if left_out > 0 else [])]


def compiled_packages(text: str, file: str) -> list[str]:
    """Names of the packages that a service compiles; none where its service.yaml is wrong, which another check tells.

    Args:
        text: Of its service.yaml.
        file: Its path.
    """
    try:
        spec = parse(text, file)
    except CatalogError:
        return []
    return list(spec.compiled.packages) if spec.compiled else []


async def _packages(source: dagger.Directory, lock: str) -> dagger.Directory:
    """The packages that a lock file names, with their programs: ruff's package only starts its program.

    Those that would have to be compiled are left out; mypy.ini says so, too.
    """
    described = f"{lock.rpartition('/')[0]}/service.yaml"
    compiled = (
        compiled_packages(await source.file(described).contents(), described) if lock.startswith("services/") else []
    )
    _, wheels_only = split_lock(await source.file(lock).contents(), compiled)
    return (
        builder(source, None)
        .with_new_file("/locks/requirements.lock", wheels_only)
        .with_exec(
            [
                *("uv", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--target", "/site"),
                *("-r", "/locks/requirements.lock"),
            ]
        )
        .directory("/site")
    )
