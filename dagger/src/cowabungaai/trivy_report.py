# SPDX-License-Identifier: Apache-2.0
"""Trivy's JSON report, as far as it is read here; the rest of it stays as it is."""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cowabungaai.errors import ScanError

Severity = Literal["UNKNOWN", "LOW", "MEDIUM", "HIGH", "CRITICAL"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)


class _Lenient(BaseModel):
    """Part of a report; what we do not read stays as it is."""

    model_config = ConfigDict(extra="allow", populate_by_name=True)


class Vulnerability(_Lenient):
    """A package's known fault."""

    id: str = Field(alias="VulnerabilityID")
    package: str = Field(alias="PkgName")
    path: str = Field(default="", alias="PkgPath")
    installed: str = Field(default="", alias="InstalledVersion")
    fixed: str = Field(default="", alias="FixedVersion")
    severity: Severity = Field(alias="Severity")
    title: str = Field(default="", alias="Title")
    url: str = Field(default="", alias="PrimaryURL")


class Misconfiguration(_Lenient):
    """A setting that opens a door."""

    id: str = Field(alias="ID")
    other_id: str = Field(default="", alias="AVDID")
    status: str = Field(alias="Status")
    severity: Severity = Field(alias="Severity")
    title: str = Field(default="", alias="Title")
    url: str = Field(default="", alias="PrimaryURL")
    cause: dict[str, Any] = Field(default={}, alias="CauseMetadata")


class Secret(_Lenient):
    """A key or a password in a file; Trivy has put stars in its place."""

    id: str = Field(alias="RuleID")
    severity: Severity = Field(alias="Severity")
    title: str = Field(default="", alias="Title")
    line: int = Field(default=0, alias="StartLine")


class License(_Lenient):
    """The terms of a package or of a file."""

    id: str = Field(alias="Name")
    package: str = Field(default="", alias="PkgName")
    path: str = Field(default="", alias="FilePath")
    severity: Severity = Field(alias="Severity")
    category: str = Field(default="", alias="Category")
    url: str = Field(default="", alias="Link")


class Package(_Lenient):
    """A package that was looked at."""

    name: str = Field(alias="Name")
    version: str = Field(default="", alias="Version")
    path: str = Field(default="", alias="FilePath")


class Result(_Lenient):
    """What was found in one part of a target: its system packages, or one file of it."""

    target: str = Field(alias="Target")
    result_class: str = Field(default="", alias="Class")
    type: str = Field(default="", alias="Type")
    packages: list[Package] = Field(default=[], alias="Packages")
    vulnerabilities: list[Vulnerability] = Field(default=[], alias="Vulnerabilities")
    misconfigurations: list[Misconfiguration] = Field(default=[], alias="Misconfigurations")
    secrets: list[Secret] = Field(default=[], alias="Secrets")
    licenses: list[License] = Field(default=[], alias="Licenses")
    modified: list[dict[str, Any]] = Field(default=[], alias="ExperimentalModifiedFindings")


class OperatingSystem(_Lenient):
    """The distribution that an image is made of."""

    family: str = Field(default="", alias="Family")
    name: str = Field(default="", alias="Name")
    ended: bool = Field(default=False, alias="EOSL")


class Metadata(_Lenient):
    """What an image is."""

    os: OperatingSystem | None = Field(default=None, alias="OS")


class Report(_Lenient):
    """A report of Trivy's, version 2 of its form."""

    schema_version: Literal[2] = Field(alias="SchemaVersion")
    artifact: str = Field(alias="ArtifactName")
    metadata: Metadata = Field(default=Metadata(), alias="Metadata")
    results: list[Result] = Field(default=[], alias="Results")

    def text(self) -> str:
        """The report as Trivy writes it."""
        return self.model_dump_json(by_alias=True, exclude_unset=True, indent=2) + "\n"


def parse_report(text: str, target: str) -> Report:
    """Read a report.

    Args:
        text: JSON.
        target: What was scanned, for messages.

    Raises:
        ScanError: It is not as expected.
    """
    try:
        return Report.model_validate_json(text)
    except ValidationError as error:
        where = "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()[:3])
        raise ScanError(f"{target}: Trivy's report is not as expected: {where}") from error
