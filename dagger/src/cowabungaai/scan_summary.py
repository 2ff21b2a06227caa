# SPDX-License-Identifier: Apache-2.0
"""What a scan says in the end: summary.json, the message of a failure, and what the page shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from cowabungaai.findings import Finding, count_by_severity
from cowabungaai.ignores import Outcome
from cowabungaai.report import LeftOut
from cowabungaai.trivy_report import SEVERITIES, Severity

MAX_LINES = 40
TITLE = 80
# What an installed Python package says of itself.
OWN_RECORD = ".dist-info/METADATA"


class TargetSummary(BaseModel):
    """One image, or the source tree.

    Attributes:
        target: The service, or `source`.
        passed: Whether nothing was found that may not be.
        system: The image's distribution; empty for the source tree.
        packages: How many packages were looked at.
        found: How many findings there are by severity, without those that are accepted.
        failing: Findings that may not be, as lines.
        ignored: How many findings are accepted.
        seconds: How long it took; next to nothing where the engine had scanned the same before.
    """

    model_config = ConfigDict(frozen=True)

    target: str
    passed: bool
    system: str
    packages: int
    found: dict[Severity, int]
    failing: list[str]
    ignored: int
    seconds: float | None = None


class Summary(BaseModel):
    """A scan; `schema_version` changes when a reader must change.

    Attributes:
        passed: Whether nothing was found that may not be, all targets were scanned, and no entry has expired.
        severities: What fails.
        database_updated_at: When the vulnerability database was made.
        targets: What was scanned.
        expired: Entries of the ignore file whose day is over, a line each.
        warnings: Entries that accept nothing, a line each.
        left_out: Services that were not scanned.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: int = 1
    passed: bool
    severities: list[Severity]
    database_updated_at: datetime
    targets: list[TargetSummary]
    expired: list[str]
    warnings: list[str]
    left_out: list[LeftOut]


@dataclass(frozen=True)
class Scanned:
    """All that a scan has found out.

    Attributes:
        severities: What fails.
        database_updated_at: When the vulnerability database was made.
        outcomes: Of each target.
        expired: See Summary.
        warnings: See Summary.
        left_out: See Summary.
        seconds: Of each target, by its name.
    """

    severities: Sequence[Severity]
    database_updated_at: datetime
    outcomes: Sequence[Outcome]
    expired: Sequence[str] = ()
    warnings: Sequence[str] = ()
    left_out: Sequence[LeftOut] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)

    def failing(self, outcome: Outcome) -> list[Finding]:
        """A target's findings that may not be."""
        return [finding for finding in outcome.findings if finding.severity in self.severities]


def place(finding: Finding) -> str:
    """What has a finding, and the file that says so where that is not the package's own."""
    shown = finding.package and finding.path and not finding.path.endswith(OWN_RECORD)
    return f"{finding.subject} in {finding.path}" if shown else finding.subject


def line(finding: Finding) -> str:
    """A finding on one line."""
    fix = f" (fixed in {finding.fixed})" if finding.fixed else ""
    words = f"{finding.severity} {finding.kind} {finding.id}: {place(finding)}{fix}"
    return f"{words}: {_title(finding)}" if finding.title else words


def summarise(scanned: Scanned) -> Summary:
    """The summary of a scan."""
    targets = []
    for outcome in scanned.outcomes:
        failing = scanned.failing(outcome)
        system = outcome.report.metadata.os
        targets.append(
            TargetSummary(
                target=outcome.target,
                passed=not failing,
                system=f"{system.family} {system.name}" if system else "",
                packages=sum(len(result.packages) for result in outcome.report.results),
                found=count_by_severity(outcome.findings),
                failing=[line(finding) for finding in failing],
                ignored=len(outcome.ignored),
                seconds=scanned.seconds.get(outcome.target),
            )
        )
    return Summary(
        passed=all(target.passed for target in targets) and not scanned.expired,
        severities=[one for one in reversed(SEVERITIES) if one in scanned.severities],
        database_updated_at=scanned.database_updated_at,
        targets=targets,
        expired=list(scanned.expired),
        warnings=list(scanned.warnings),
        left_out=list(scanned.left_out),
    )


def table(findings: Sequence[Finding]) -> list[str]:
    """Findings as lines of a table, with a line of heads; none where there are none."""
    if not findings:
        return []
    heads = ("SEVERITY", "KIND", "ID", "WHERE", "FIXED IN", "WHAT")
    rows = [heads, *((one.severity, one.kind, one.id, place(one), one.fixed, _title(one)) for one in findings)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def message(scanned: Scanned, unscanned: Iterable[str] = ()) -> str:
    """What the console shows: every target, with what may not be in it.

    Args:
        scanned: What was found.
        unscanned: What went wrong with targets that could not be scanned.
    """
    summary = summarise(scanned)
    lines = list(unscanned)
    for target, outcome in zip(summary.targets, scanned.outcomes, strict=True):
        counts = (
            ", ".join(f"{count} {severity}" for severity, count in target.found.items() if count) or "nothing found"
        )
        accepted = f", {target.ignored} accepted" if target.ignored else ""
        lines.append(f"{target.target}: {target.packages} packages looked at, {counts}{accepted}")
        lines += [f"  {one}" for one in _shortened(table(scanned.failing(outcome)), target.target)]
    lines += [f"{one.service}: not scanned: {one.reason}" for one in summary.left_out]
    lines += [*summary.expired, *(f"warning: {one}" for one in summary.warnings)]
    return "\n".join(lines)


def _title(finding: Finding) -> str:
    return finding.title if len(finding.title) <= TITLE else finding.title[: TITLE - 1] + "…"


def _shortened(lines: list[str], target: str) -> list[str]:
    left_out = len(lines) - MAX_LINES
    return [*lines[:MAX_LINES], *([f"... and {left_out} more, in {target}/table.txt"] if left_out > 0 else [])]
