# SPDX-License-Identifier: Apache-2.0
"""What may not be in an image or in the sources, and how much of it there is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from cowabungaai.errors import ScanError
from cowabungaai.trivy_report import (
    SEVERITIES,
    License,
    Misconfiguration,
    Result,
    Secret,
    Severity,
    Vulnerability,
)

Kind = Literal["vulnerability", "secret", "misconfiguration", "license"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Finding:
    """One finding.

    Attributes:
        kind: What sort it is.
        id: Of the vulnerability, the rule of the check, or the licence's name.
        other_ids: Other names of the same thing.
        severity: How bad it is.
        package: The package that has it; empty where a file has it.
        installed: That package's version.
        fixed: The version without it; empty where there is none.
        path: The file, below the root of the image or of the sources.
        line: Of that file; 0 where unknown.
        title: What it is, in words.
        url: Where more is told.
    """

    kind: Kind
    id: str
    severity: Severity
    other_ids: tuple[str, ...] = ()
    package: str = ""
    installed: str = ""
    fixed: str = ""
    path: str = ""
    line: int = 0
    title: str = ""
    url: str = ""

    @property
    def subject(self) -> str:
        """What has it, for people: a package with its version, or a file with its line."""
        if self.package:
            return f"{self.package} {self.installed}".strip()
        return f"{self.path}:{self.line}" if self.line else self.path

    @property
    def order(self) -> tuple[int, int, str, str]:
        """Sorts the worst first."""
        return (-SEVERITIES.index(self.severity), KINDS.index(self.kind), self.id, self.subject)


def parse_severities(text: str) -> tuple[Severity, ...]:
    """Read names of severities, separated by commas.

    Raises:
        ScanError: One is unknown; the message lists the valid ones.
    """
    names = [name.strip().upper() for name in text.split(",") if name.strip()]
    wrong = [name for name in names if name not in SEVERITIES]
    if wrong or not names:
        got = ", ".join(wrong) or "none"
        raise ScanError(f"--severity: expected one or more of {', '.join(SEVERITIES)}, separated by commas; got {got}")
    return tuple(one for one in SEVERITIES if one in names)


def of_vulnerability(found: Vulnerability, result: Result) -> Finding:
    """A vulnerability as a finding; `path` is the lock file where it comes from one."""
    path = found.path or (result.target if result.result_class == "lang-pkgs" else "")
    return Finding(
        kind="vulnerability",
        id=found.id,
        severity=found.severity,
        package=found.package,
        installed=found.installed,
        fixed=found.fixed,
        path=path,
        title=found.title,
        url=found.url,
    )


def of_misconfiguration(found: Misconfiguration, result: Result) -> Finding:
    """A failed check as a finding."""
    return Finding(
        kind="misconfiguration",
        id=found.id,
        other_ids=(found.other_id,) if found.other_id else (),
        severity=found.severity,
        path=result.target,
        line=int(found.cause.get("StartLine", 0)),
        title=found.title,
        url=found.url,
    )


def of_secret(found: Secret, result: Result) -> Finding:
    """A secret as a finding; of what it is, only the rule's title is told."""
    return Finding(
        kind="secret",
        id=found.id,
        severity=found.severity,
        path=result.target.removeprefix("/"),
        line=found.line,
        title=found.title,
    )


def of_license(found: License, _result: Result) -> Finding:
    """A licence as a finding."""
    return Finding(
        kind="license",
        id=found.id,
        severity=found.severity,
        package=found.package,
        path=found.path,
        title=f"{found.category} licence" if found.category else "",
        url=found.url,
    )


def count_by_severity(findings: Iterable[Finding]) -> dict[Severity, int]:
    """How many there are of each severity, the worst first."""
    severities = [finding.severity for finding in findings]
    return {severity: severities.count(severity) for severity in reversed(SEVERITIES)}
