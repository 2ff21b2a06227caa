"""The checks of `dagger call lint`, an entry of a table each, side by side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import dagger
from dagger import dag

from cowabungaai.catalog import parse
from cowabungaai.errors import CatalogError, StepError
from cowabungaai.sources import load_catalog
from cowabungaai.steps import for_each
from cowabungaai.wheels import BUILD_IMAGE, builder, split_lock

# What of the repository is looked at; caches and what is generated inside are not.
FOLDERS = ("conftest.py", "dagger", "docs", "pyproject.toml", "services", "tests", "toolchain")
GENERATED = ("dagger/sdk", "**/__pycache__", "**/.*_cache", "**/.hypothesis", "**/.venv")
LINTERS = "toolchain/requirements/lint.lock"
# Stubs depend on the version of protoc, and this is where it is pinned.
PROTOC = "services/sdk/requirements-test.lock"
CONTRACT = ("services/sdk/generate.py", "services/sdk/compatibility.py", "services/sdk/proto/**")
CATALOG = "services"
MAX_LINES = 200


@dataclass(frozen=True)
class Check:
    """A check that is a program, or several.

    Attributes:
        name: What people see.
        needs: Patterns of the files that it reads; the engine runs it again only where one of these has changed.
        commands: Arguments of Python for each program; they run at the root of the repository, each even if one before
            it found something. A program that found something ends with another code than 0.
        packages: Lock files of the packages that it needs; where two name the same package, the first counts.
    """

    name: str
    needs: tuple[str, ...]
    commands: tuple[tuple[str, ...], ...]
    packages: tuple[str, ...] = (LINTERS,)


def table(services: Iterable[str]) -> list[Check]:
    """All checks that are programs.

    Args:
        services: Names of the services' folders.
    """
    return [
        Check(
            "ruff",
            ("**/*.py", "**/*.pyi", "**/pyproject.toml", "services/ruff.toml"),
            (
                ("-m", "ruff", "check", "--no-cache", "--output-format=concise", "."),
                ("-m", "ruff", "format", "--no-cache", "--check", "--output-format=concise", "."),
            ),
        ),
        _types("dagger", "dagger/src", "pyproject.toml"),
        _types("toolchain", "toolchain/src", "pyproject.toml"),
        *(_service_types(name) for name in services),
        Check(
            "stubs",
            (*CONTRACT, "services/sdk/src/cowabungaai_sdk/v1/*"),
            (("services/sdk/generate.py", "--check"),),
            (PROTOC,),
        ),
        Check("contract", CONTRACT, (("services/sdk/generate.py", "--check-compatible"),), (PROTOC,)),
        Check(
            "locks",
            ("services/*/pyproject.toml", "services/*/requirements*.lock", "dagger/src/cowabungaai/locks.py"),
            (("-P", "dagger/src/cowabungaai/locks.py", "services"),),
        ),
    ]


def _types(name: str, folder: str, config: str, packages: tuple[str, ...] = (LINTERS,), also: str = "") -> Check:
    return Check(
        f"mypy {name}",
        (config, f"{folder}/**", *([also] if also else [])),
        (("-P", "-m", "mypy", "--config-file", config, "--cache-dir", "/dev/null", folder),),
        packages,
    )


def _service_types(name: str) -> Check:
    """Types of a service, with the versions of libraries that it ships; mypy.ini says where the sdk is."""
    lock = f"services/{name}/requirements.lock"
    folder = f"services/{name}"
    return _types(folder, f"{folder}/src", "services/mypy.ini", (lock, LINTERS), "services/sdk/src/**")


async def run_checks(source: dagger.Directory) -> list[str]:
    """Run all checks.

    Args:
        source: The repository.

    Returns:
        The checks' names.

    Raises:
        StepError: One or more found something; the message tells all of it.
    """
    services = sorted(path.split("/")[1] for path in await source.glob("services/*/pyproject.toml"))
    checks = {check.name: check for check in table(services)}

    async def one(name: str) -> None:
        if name == CATALOG:
            await load_catalog(source)
        else:
            await _run(source, checks[name])

    return list(await for_each("lint", [*checks, CATALOG], one))


async def _run(source: dagger.Directory, check: Check) -> None:
    container = dag.container().from_(BUILD_IMAGE).with_env_variable("PYTHONDONTWRITEBYTECODE", "1")
    folders = {f"/packages/{number}": lock for number, lock in enumerate(check.packages)}
    for folder, lock in folders.items():
        container = container.with_mounted_directory(folder, await _packages(source, lock))
    container = (
        container.with_env_variable("PYTHONPATH", ":".join(folders))
        .with_mounted_directory("/source", source.filter(include=list(check.needs)))
        .with_workdir("/source")
    )
    found = []
    for arguments in check.commands:
        run = container.with_exec(["python3", *arguments], expect=dagger.ReturnType.ANY)
        if await run.exit_code() != 0:
            found += (await run.stdout() + await run.stderr()).splitlines()
    if found:
        raise StepError("\n".join([f"lint {check.name} found:", *shortened(found)]))


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
