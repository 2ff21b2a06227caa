# SPDX-License-Identifier: Apache-2.0
"""Whether a software bill of materials names all that is in an image: Debian's packages, and Python's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from email.parser import HeaderParser
from pathlib import PurePosixPath
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cowabungaai.errors import SbomError
from cowabungaai.trivy_report import Report

MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
PYTHON = "python3.13-minimal"
SORTS = {"pkg:deb/": "Debian", "pkg:pypi/": "Python"}


class _Lenient(BaseModel):
    model_config = ConfigDict(frozen=True)


class Reference(_Lenient):
    """Where an SPDX package is known under which name."""

    locator: str = Field(alias="referenceLocator")


class SpdxPackage(_Lenient):
    """A package in an SPDX document."""

    name: str
    version: str = Field(default="", alias="versionInfo")
    references: list[Reference] = Field(default=[], alias="externalRefs")


class Spdx(_Lenient):
    """An SPDX document, version 2.3 in JSON."""

    version: str = Field(alias="spdxVersion", pattern=r"^SPDX-2\.")
    packages: list[SpdxPackage]


class Component(_Lenient):
    """A component in a CycloneDX document."""

    name: str
    version: str = ""
    purl: str = ""


class CycloneDx(_Lenient):
    """A CycloneDX document in JSON."""

    form: str = Field(alias="bomFormat", pattern="^CycloneDX$")
    components: list[Component] = []


@dataclass(frozen=True)
class Packages:
    """Packages of an image, by name: several versions where a package carries others along.

    Attributes:
        debian: Name to versions.
        python: Normalized name to versions.
    """

    debian: dict[str, set[str]] = field(default_factory=dict)
    python: dict[str, set[str]] = field(default_factory=dict)


def debian_packages(records: Iterable[str]) -> dict[str, set[str]]:
    """Packages of which an image has records in /var/lib/dpkg/status.d.

    Args:
        records: Each one's text.

    Raises:
        SbomError: A record names no package or no version.
    """
    packages: dict[str, set[str]] = {}
    for text in records:
        record = HeaderParser().parsestr(text)
        name, version = record["Package"], record["Version"]
        if not name or not version:
            raise SbomError(f"a record in /var/lib/dpkg/status.d has no Package or no Version: {text[:80]!r}")
        packages.setdefault(name, set()).add(version)
    return packages


def marker_environment(debian: Mapping[str, set[str]], platform: str) -> dict[str, str]:
    """What decides which lines of a lock file hold in an image.

    Args:
        debian: Its Debian packages, Python among them.
        platform: Such as linux/amd64.

    Raises:
        SbomError: It has no Python, or the platform is unknown.
    """
    machine = MACHINES.get(platform.split("/")[1] if "/" in platform else "")
    if machine is None:
        raise SbomError(f"platform {platform!r} is not known here; known are linux/{', linux/'.join(MACHINES)}")
    versions = debian.get(PYTHON)
    if not versions:
        raise SbomError(f"the image has no Debian package {PYTHON}")
    full = next(iter(versions)).split("-")[0].split("+")[0]
    return {
        "implementation_name": "cpython",
        "implementation_version": full,
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": full,
        "python_version": ".".join(full.split(".")[:2]),
        "sys_platform": "linux",
    }


def locked_packages(text: str, environment: Mapping[str, str], file: str) -> dict[str, set[str]]:
    """Python packages that a lock file names for an image.

    Args:
        text: Of the lock file.
        environment: See marker_environment.
        file: Its path, for messages.

    Raises:
        SbomError: A line pins no version.
    """
    packages: dict[str, set[str]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith((" ", "#")):
            continue
        try:
            pinned = Requirement(line.removesuffix("\\").strip())
        except InvalidRequirement as error:
            raise SbomError(f"{file}:{number}: expected name==version, got {line!r}") from error
        if pinned.marker is not None and not pinned.marker.evaluate(dict(environment)):
            continue
        versions = {one.version for one in pinned.specifier if one.operator == "=="}
        if not versions:
            raise SbomError(f"{file}:{number}: expected name==version, got {line!r}")
        packages.setdefault(canonicalize_name(pinned.name), set()).update(versions)
    return packages


def read_spdx(text: str, file: str) -> Packages:
    """Packages that an SPDX document names.

    Raises:
        SbomError: It is no such document.
    """
    document = _read(Spdx, text, file)
    named = [(one.name, one.version, [link.locator for link in one.references]) for one in document.packages]
    return _sorted(named)


def read_cyclonedx(text: str, file: str) -> Packages:
    """Packages that a CycloneDX document names.

    Raises:
        SbomError: It is no such document.
    """
    document = _read(CycloneDx, text, file)
    return _sorted([(one.name, one.version, [one.purl]) for one in document.components])


def carried_along(report: Report, site: str) -> dict[str, set[str]]:
    """Python packages that others have inside their own folders, and that no lock file names therefore.

    Args:
        report: Trivy's on the image.
        site: The folder into which packages are installed, without a slash before it.
    """
    packages: dict[str, set[str]] = {}
    for package in (one for result in report.results if result.type == "python-pkg" for one in result.packages):
        installed = PurePosixPath(package.path)
        if not installed.is_relative_to(site):
            continue
        if not installed.relative_to(site).parts[0].endswith((".dist-info", ".egg-info")):
            packages.setdefault(canonicalize_name(package.name), set()).add(package.version)
    return packages


def problems(
    expected: Packages, found: Packages, file: str, carried: Mapping[str, set[str]] | None = None
) -> list[str]:
    """What a document lacks, and what it has too much, a line each.

    Args:
        expected: What is in the image.
        found: What the document names.
        file: The document's.
        carried: Python packages that others have inside; these may be named.
    """
    lines = []
    for sort, wanted, named, also in (
        ("Debian", expected.debian, found.debian, {}),
        ("Python", expected.python, found.python, carried or {}),
    ):
        for name, versions in sorted(wanted.items()):
            for version in sorted(versions - named.get(name, set())):
                others = ", ".join(sorted(named.get(name, set())))
                instead = f"; it has {others}" if others else ""
                lines.append(f"{file}: the {sort} package {name} {version} is missing{instead}")
        for name, versions in sorted(named.items()):
            for version in sorted(versions - wanted.get(name, set()) - also.get(name, set())):
                lines.append(f"{file}: the {sort} package {name} {version} is in no lock file or record")
    return lines


def _read(model: type[Any], text: str, file: str) -> Any:
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        where = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:3])
        raise SbomError(f"{file} is not as expected: {where}") from error


def _sorted(named: Iterable[tuple[str, str, list[str]]]) -> Packages:
    packages = Packages()
    for name, version, locators in named:
        sorts = {SORTS[start] for start in SORTS for locator in locators if locator.startswith(start)}
        if "Debian" in sorts:
            packages.debian.setdefault(name, set()).add(version)
        elif "Python" in sorts:
            packages.python.setdefault(canonicalize_name(name), set()).add(version)
    return packages
