"""Services from their sources: an environment of locked packages for each, and the command that runs one."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

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
    described = _describe(name)
    program, *arguments = described["entrypoint"]
    if not program.startswith("python"):
        raise UsageError(
            f"service {name!r} starts with {program!r}, and only Python runs from sources",
            f"Look at entrypoint in {FOLDER / name / 'service.yaml'}, or run the built image.",
        )
    reached = [name]
    for one in reached:  # Grows while it is walked: what a dependency depends on is needed too.
        reached += [other for other in _describe(one)["depends_on"] if other not in reached]
    return Service(name, tuple(arguments), tuple(FOLDER / one / "src" for one in reached))


def _describe(name: str) -> dict[str, list[str]]:
    if name not in names():
        raise UsageError(f"no service is named {name!r}", f"The services are: {', '.join(names())}.")
    file = FOLDER / name / "service.yaml"
    try:
        described = yaml.safe_load(file.read_text())
        return {"entrypoint": list(described["entrypoint"]), "depends_on": list(described["depends_on"])}
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise UsageError(
            f"{file} has no readable entrypoint and depends_on: {error}", "./cowabunga dagger call services checks it."
        ) from error


def service_environment(name: str) -> Path:
    """The Python of the environment with a service's locked packages, made on first use.

    The sources are not installed in it: `command` puts them on Python's path.

    Args:
        name: Of the service.

    Raises:
        UsageError: There is no such service.
        MirrorError: pip could not fetch a package.
    """
    load(name)
    return environment(f"service-{name}", FOLDER / name / "requirements.lock")


def environment(name: str, lock: Path) -> Path:
    """The Python of an environment that holds exactly what a lock file names, made on first use.

    A virtual environment cannot be moved, so it is built in place and counts once its marker is there.

    Args:
        name: Distinguishes environments; the cache's folder is `venv-<name>`.
        lock: File of requirements with hashes.

    Raises:
        HostError: This Python cannot make virtual environments.
        MirrorError: pip could not fetch a package, or its hash is another.
        DiskFullError: The disk is full.
    """
    kind, key = f"venv-{name}", digest_of(lock, sys.version, sys.base_prefix)
    entry = cache_home() / kind / key
    python = entry / "bin" / "python"
    if (entry / MARKER).exists() and python.exists():
        return python
    with store.locked(f"{kind}-{key}"):
        if not ((entry / MARKER).exists() and python.exists()):
            _fill(entry, name, lock)
    return python


def _fill(entry: Path, name: str, lock: Path) -> None:
    log = logs() / f"venv-{name}.log"
    store.remove(entry)
    entry.parent.mkdir(parents=True, exist_ok=True)
    with console.step(f"preparing the Python environment '{name}'", f"venv-{name}"):
        run_logged([sys.executable, "-m", "venv", entry], log, f"making {entry}", fallback=HostError)
        pip = [str(entry / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        run_logged(
            [*pip, "--require-hashes", "--only-binary=:all:", "-r", str(lock)],
            log,
            f"installing the packages of {lock.relative_to(CHECKOUT) if lock.is_relative_to(CHECKOUT) else lock}",
            fallback=MirrorError,
        )
    (entry / MARKER).touch()


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


def run(name: str, arguments: list[str]) -> None:
    """Replace this process by a service that runs from its sources.

    Args:
        name: Of the service.
        arguments: Of the service.

    Raises:
        UsageError: There is no such service.
        MirrorError: pip could not fetch a package.
    """
    words, variables = command(name, arguments)
    os.execve(words[0], words, {**os.environ, **variables})  # noqa: S606 - arguments are passed as they are, no shell
