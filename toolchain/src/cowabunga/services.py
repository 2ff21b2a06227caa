# SPDX-License-Identifier: Apache-2.0
"""Services from their sources: an environment of locked packages for each, and the command that runs one."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cowabunga import console, store
from cowabunga.errors import HostError, MirrorError, UsageError
from cowabunga.paths import CHECKOUT, cache_home, digest_of, logs
from cowabunga.process import run_logged

FOLDER = CHECKOUT / "services"
# Written last: an environment without it is half-made.
MARKER = ".complete"
# Services with a database, and the variable that says where it is. Unless set, it is a file below the cache.
DATABASES = {"api": "COWABUNGAAI_API_DATABASE_URL"}


@dataclass(frozen=True)
class Service:
    """What running a service needs to know of its service.yaml.

    Attributes:
        name: Its folder's name.
        arguments: Of Python, such as ("-m", "cowabungaai_api").
        sources: Folders of its own package and of those it depends on.
    """

    name: str
    arguments: tuple[str, ...]
    sources: tuple[Path, ...]


@dataclass(frozen=True)
class Compiling:
    """Packages that come as sources, and what compiles them.

    Attributes:
        packages: Their names.
        environment: Variables of the build.
        tools: Lock file of the build's requirements.
    """

    packages: tuple[str, ...]
    environment: Mapping[str, str]
    tools: Path


def names() -> list[str]:
    """Names of all services, sorted."""
    return sorted(file.parent.name for file in FOLDER.glob("*/service.yaml"))


def load(name: str) -> Service:
    """A service's description.

    Args:
        name: Of the service.

    Raises:
        UsageError: There is no such service, the message lists those that are; or it is no Python program.
    """
    described = describe(name)
    program, *arguments = described["entrypoint"]
    if not program.startswith("python"):
        raise UsageError(
            f"service {name!r} starts with {program!r}, and only Python runs from sources",
            f"Look at entrypoint in {FOLDER / name / 'service.yaml'}, or run the built image.",
        )
    reached = [name]
    for one in reached:  # Grows while it is walked: what a dependency depends on is needed too.
        reached += [other for other in describe(one)["depends_on"] if other not in reached]
    return Service(name, tuple(arguments), tuple(FOLDER / one / "src" for one in reached))


def describe(name: str) -> dict[str, Any]:
    """What a service's service.yaml says; the module checks it in full, this only what running it needs.

    Args:
        name: Of the service.

    Raises:
        UsageError: There is no such service, the message lists those that are; or its file has no entrypoint.
    """
    if name not in names():
        raise UsageError(f"no service is named {name!r}", f"The services are: {', '.join(names())}.")
    file = FOLDER / name / "service.yaml"
    try:
        described = dict(yaml.safe_load(file.read_text()))
        wanted = {"entrypoint": list(described["entrypoint"]), "depends_on": list(described["depends_on"])}
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"{file} has no readable entrypoint and depends_on: {error}", "./cowabunga dagger call services checks it."
        ) from error
    return {**described, **wanted}


def module_of(file: Path) -> Any:
    """A Python file of the services' own, loaded under a name that no other module has.

    Args:
        file: Needs nothing but Python's standard library.
    """
    name = f"cowabunga_services_{file.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None  # noqa: S101 - the file's name ends in .py
    assert spec.loader is not None  # noqa: S101 - likewise
    # Known before it runs: its dataclasses look for their module.
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def service_environment(name: str) -> Path:
    """The Python of the environment with a service's locked packages, made on first use.

    The sources are not installed in it: `command` puts them on Python's path.

    Args:
        name: Of the service.

    Raises:
        UsageError: There is no such service.
        MirrorError: pip could not fetch a package.
    """
    return environment(f"service-{name}", *requirements(name))


def requirements(name: str) -> tuple[Path, Compiling | None]:
    """A service's lock file, and what of it is compiled on this machine.

    Args:
        name: Of the service.

    Raises:
        UsageError: There is no such service.
    """
    folder, compiled = FOLDER / name, describe(name).get("compiled")
    compiling = (
        Compiling(tuple(compiled["packages"]), compiled.get("environment", {}), folder / "requirements-compile.lock")
        if compiled
        else None
    )
    return folder / "requirements.lock", compiling


def environment_key(lock: Path, compiling: Compiling | None = None) -> str:
    """Digest of all that decides an environment.

    Args:
        lock: File of requirements with hashes.
        compiling: What of it is compiled here.
    """
    parts = (compiling.tools, repr(compiling.environment)) if compiling else ()
    return digest_of(lock, sys.version, sys.base_prefix, *parts)


def environment(name: str, lock: Path, compiling: Compiling | None = None) -> Path:
    """The Python of an environment that holds exactly what a lock file names, made on first use.

    A virtual environment cannot be moved, so it is built in place and counts once its marker is there.

    Args:
        name: Distinguishes environments; the cache's folder is `venv-<name>`.
        lock: File of requirements with hashes.
        compiling: What of it is compiled here; the rest comes as wheels.

    Raises:
        HostError: This Python cannot make virtual environments, or there is no compiler for what needs one.
        MirrorError: pip could not fetch a package, or its hash is another.
        DiskFullError: The disk is full.
    """
    kind, key = f"venv-{name}", environment_key(lock, compiling)
    entry = cache_home() / kind / key
    python = entry / "bin" / "python"
    if (entry / MARKER).exists() and python.exists():
        return python
    with store.locked(f"{kind}-{key}"):
        if not ((entry / MARKER).exists() and python.exists()):
            _fill(entry, name, lock, compiling)
    return python


def _fill(entry: Path, name: str, lock: Path, compiling: Compiling | None) -> None:
    log = logs() / f"venv-{name}.log"
    store.remove(entry)
    entry.parent.mkdir(parents=True, exist_ok=True)
    with console.step(f"preparing the Python environment '{name}'", f"venv-{name}"):
        run_logged([sys.executable, "-m", "venv", entry], log, f"making {entry}", fallback=HostError)
        pip = [str(entry / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        pip += ["--require-hashes", "--only-binary=:all:"]
        if compiling is None:
            _install(pip, lock, log)
        else:
            if shutil.which("c++") is None:
                raise HostError(
                    f"{', '.join(compiling.packages)} must be compiled, and this machine has no C++ compiler",
                    "apt-get install g++ make, or use the built image: ./cowabunga serve.",
                )
            _install(pip, compiling.tools, log)
            pip += [f"--no-binary={package}" for package in compiling.packages]
            _install([*pip, "--no-build-isolation"], lock, log, compiling.environment)
    (entry / MARKER).touch()


def _install(pip: list[str], lock: Path, log: Path, variables: Mapping[str, str] | None = None) -> None:
    shown = lock.relative_to(CHECKOUT) if lock.is_relative_to(CHECKOUT) else lock
    run_logged([*pip, "-r", str(lock)], log, f"installing the packages of {shown}", env=variables, fallback=MirrorError)


def command(name: str, arguments: list[str]) -> tuple[list[str], dict[str, str]]:
    """The command that runs a service from its sources, and the variables that it needs besides those there are.

    Args:
        name: Of the service.
        arguments: Of the service.

    Raises:
        UsageError: There is no such service.
        MirrorError: pip could not fetch a package.
    """
    service = load(name)
    python = service_environment(name)
    # -P: nothing in the folder where it is started takes the place of a module.
    words = [str(python), "-P", *service.arguments, *arguments]
    path = os.pathsep.join(map(str, service.sources))
    # What a service tells people to type is what they typed.
    return words, {"PYTHONPATH": path, "COWABUNGAAI_PROGRAM": f"./cowabunga run {name}", **database(name)}


def database(name: str) -> dict[str, str]:
    """The variable that places a service's database, unless it is set; the file's folder is its owner's alone.

    Args:
        name: Of the service.
    """
    variable = DATABASES.get(name)
    if variable is None or os.environ.get(variable):
        return {}
    folder = cache_home() / "run" / name
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    return {variable: f"sqlite:///{folder / f'{name}.db'}"}


def run(name: str, arguments: list[str], settings: Mapping[str, str] | None = None) -> None:
    """Replace this process by a service that runs from its sources.

    Args:
        name: Of the service.
        arguments: Of the service.
        settings: Variables for it, besides those there are.

    Raises:
        UsageError: There is no such service.
        MirrorError: pip could not fetch a package.
    """
    words, variables = command(name, arguments)
    os.execve(words[0], words, {**os.environ, **(settings or {}), **variables})  # noqa: S606 - arguments are passed as they are, no shell
