# SPDX-License-Identifier: Apache-2.0
"""Whether services' lock files hold what their pyproject.toml files ask for: `python -P locks.py services`, no network.

Needs packaging, and nothing else of the module: the pipeline runs it in a container.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.dependency_groups import resolve_dependency_groups
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import NormalizedName, canonicalize_name

Pins = Mapping[NormalizedName, set[str]]
LOCK = "requirements.lock"
TEST_LOCK = "requirements-test.lock"
GPU_LOCK = "requirements-gpu.lock"
GPU_EXTRA = "gpu"
TEST_GROUP = "test"
# Without its extra in the lock, pip looks for the newest `coverage[toml]`, and refuses it for want of a hash.
ADVICE = """In the service's folder, this makes its lock anew:
  uv pip compile --generate-hashes --no-emit-index-url --no-header --no-annotate --no-strip-extras --universal \\
    --python-version 3.11 --no-emit-package cowabungaai-sdk pyproject.toml -o requirements.lock
For its tests the last line is: --group pyproject.toml:test -o requirements-test.lock
For its gpu flavor, instead of --universal and its version: --python-version 3.13 --only-binary :all: \\
    --python-platform x86_64-manylinux_2_39 --extra gpu pyproject.toml -o requirements-gpu.lock"""


class LockError(Exception):
    """A file cannot be read as what it should be; the message tells which, and where."""


@dataclass(frozen=True)
class Wanted:
    """A requirement, and where it is written.

    Attributes:
        where: File and line.
        requirement: What is asked for.
    """

    where: str
    requirement: Requirement


@dataclass(frozen=True)
class Project:
    """A service's pyproject.toml.

    Attributes:
        file: It.
        name: The distribution's.
        wanted: What it needs to run.
        tests: What its tests need besides.
        gpu: What its gpu flavor needs besides.
    """

    file: Path
    name: NormalizedName
    wanted: tuple[Wanted, ...]
    tests: tuple[Wanted, ...]
    gpu: tuple[Wanted, ...]


def problems(services: Path) -> list[str]:
    """What the lock files lack, a line each.

    Args:
        services: The folder that holds the services' folders.
    """
    found: list[str] = []
    projects: dict[NormalizedName, Project] = {}
    for file in sorted(services.glob("*/pyproject.toml")):
        try:
            project = read_project(file)
            projects[project.name] = project
        except LockError as error:
            found.append(str(error))
    for project in projects.values():
        try:
            found += _missing(project, projects)
        except LockError as error:
            found.append(str(error))
    return found


def _missing(project: Project, projects: Mapping[NormalizedName, Project]) -> Iterator[str]:
    lock, test_lock = project.file.with_name(LOCK), project.file.with_name(TEST_LOCK)
    shipped, tested = read_pins(lock), read_pins(test_lock)
    for wanted in _reached(project, projects):
        yield from _check(wanted, shipped, str(lock))
    for wanted in project.tests:
        yield from _check(wanted, {**tested, **shipped}, f"{lock} or {test_lock}")
    if project.gpu:
        gpu_lock = project.file.with_name(GPU_LOCK)
        on_gpu = read_pins(gpu_lock)
        for wanted in (*_reached(project, projects), *project.gpu):
            yield from _check(wanted, on_gpu, str(gpu_lock))
    # Tests would run with another version than the one that ships.
    for name in sorted(shipped.keys() & tested.keys()):
        if shipped[name] != tested[name]:
            yield f"{test_lock}: {name} is {_list(tested[name])}, but {_list(shipped[name])} in {lock}"


def _reached(project: Project, projects: Mapping[NormalizedName, Project]) -> Iterator[Wanted]:
    """What a project needs of others' packages, itself and through our own packages."""
    seen = [project]
    for one in seen:  # Grows while it is walked.
        for wanted in one.wanted:
            own = projects.get(canonicalize_name(wanted.requirement.name))
            if own is None:
                yield wanted
            elif own not in seen:
                seen.append(own)


def _check(wanted: Wanted, pins: Pins, locks: str) -> Iterator[str]:
    versions = pins.get(canonicalize_name(wanted.requirement.name))
    if versions is None:
        yield f"{wanted.where}: {wanted.requirement}: not in {locks}"
    elif wrong := {one for one in versions if not wanted.requirement.specifier.contains(one, prereleases=True)}:
        yield f"{wanted.where}: {wanted.requirement}: got {_list(wrong)} in {locks}"


def _list(versions: set[str]) -> str:
    return ", ".join(sorted(versions)) or "without a version"


def read_project(file: Path) -> Project:
    """A pyproject.toml's requirements.

    Raises:
        LockError: It is not valid.
    """
    text = file.read_text()
    try:
        described = tomllib.loads(text)
        name = described["project"]["name"]
        groups = described.get("dependency-groups", {})
        tests = resolve_dependency_groups(groups, TEST_GROUP) if TEST_GROUP in groups else ()
        wanted = described["project"].get("dependencies", [])
        return Project(
            file,
            canonicalize_name(name),
            tuple(_wanted(file, text, one) for one in wanted),
            tuple(_wanted(file, text, one) for one in tests),
            tuple(
                _wanted(file, text, one)
                for one in described["project"].get("optional-dependencies", {}).get(GPU_EXTRA, [])
            ),
        )
    except (KeyError, TypeError, ValueError, ExceptionGroup) as error:
        raise LockError(f"{file}: expected a [project] with name and dependencies: {error}") from error


def _wanted(file: Path, text: str, words: str) -> Wanted:
    line = next((number for number, line in enumerate(text.splitlines(), 1) if words in line), 1)
    return Wanted(f"{file}:{line}", Requirement(words))


def read_pins(lock: Path) -> Pins:
    """The versions that a lock file names, by package; several where they differ by platform.

    Raises:
        LockError: It is missing, or a line is no requirement.
    """
    if not lock.exists():
        raise LockError(f"{lock}: no such file")
    pins: dict[NormalizedName, set[str]] = {}
    for number, line in enumerate(lock.read_text().splitlines(), 1):
        if not line.strip() or line.startswith((" ", "#")):
            continue
        try:
            pinned = Requirement(line.removesuffix("\\").strip())
        except InvalidRequirement as error:
            raise LockError(f"{lock}:{number}: expected name==version, got {line!r}") from error
        pins.setdefault(canonicalize_name(pinned.name), set()).update(one.version for one in pinned.specifier)
    return pins


if __name__ == "__main__":
    if lines := problems(Path(sys.argv[1])):
        sys.exit("\n".join([*lines, ADVICE]))
