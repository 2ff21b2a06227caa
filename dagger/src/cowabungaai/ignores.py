# SPDX-License-Identifier: Apache-2.0
"""Findings that are accepted for a time: security/ignore.yaml, and what is left when they are taken away."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

from cowabungaai import findings, yaml_files
from cowabungaai.errors import IgnoreFileError
from cowabungaai.findings import Finding
from cowabungaai.trivy_report import Report, Result

# Fields of a result that hold findings, and what makes a finding of each.
READERS: dict[str, Callable[[Any, Result], Finding]] = {
    "vulnerabilities": findings.of_vulnerability,
    "misconfigurations": findings.of_misconfiguration,
    "secrets": findings.of_secret,
    "licenses": findings.of_license,
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, str_strip_whitespace=True)


class Accepted(_Strict):
    """A finding that somebody looked at, and decided to live with for a time."""

    id: str = Field(min_length=1, description="such as CVE-2026-1234, a rule's id, or a licence's name")
    reason: str = Field(min_length=1)
    expires: date = Field(description="the last day on which it holds, in UTC")
    packages: list[str] = Field(default=[], description="only in these packages")
    paths: list[str] = Field(default=[], description="only in files whose paths match one of these patterns")
    services: list[str] = Field(default=[], description="only in these services' images; `source` is the source tree")


class IgnoreFile(_Strict):
    """The whole file."""

    ignore: list[Accepted]


@dataclass(frozen=True)
class Entry:
    """An entry and where it is written.

    Attributes:
        where: File and line.
        accepted: What it says.
    """

    where: str
    accepted: Accepted

    def covers(self, finding: Finding, service: str) -> bool:
        """Whether it speaks of a finding.

        Args:
            finding: It.
            service: In whose image it is, or `source`.
        """
        accepted = self.accepted
        return (
            accepted.id in (finding.id, *finding.other_ids)
            and (not accepted.services or service in accepted.services)
            and (not accepted.packages or finding.package in accepted.packages)
            and (not accepted.paths or any(fnmatchcase(finding.path, pattern) for pattern in accepted.paths))
        )

    def expired(self, today: date) -> bool:
        """Whether its last day is over."""
        return self.accepted.expires < today


@dataclass(frozen=True)
class Ignored:
    """A finding, and the entry that accepts it."""

    finding: Finding
    entry: Entry


@dataclass(frozen=True)
class Outcome:
    """What was found in a target.

    Attributes:
        target: What the reports are named after: the service, with its flavor where that is not cpu, or `source`.
        service: The service, or `source`.
        report: Trivy's report, in which what is accepted is marked as such.
        findings: What is not accepted, the worst first.
        ignored: What is.
    """

    target: str
    service: str
    report: Report
    findings: tuple[Finding, ...]
    ignored: tuple[Ignored, ...]


def parse(text: str, file: str) -> list[Entry]:
    """Read an ignore file.

    Args:
        text: Its content.
        file: Its name, for messages.

    Raises:
        IgnoreFileError: It is not valid; the message has a line per mistake: file, line, field, what was expected.
    """
    content = yaml_files.parse(text, file, IgnoreFile, IgnoreFileError, "one field, ignore, which is a list")
    tree = yaml.compose(text, Loader=yaml.SafeLoader)
    return [
        Entry(f"{file}:{yaml_files.line_of(tree, ('ignore', number))}", accepted)
        for number, accepted in enumerate(content.ignore)
    ]


def apply(report: Report, target: str, entries: Sequence[Entry], today: date, *, service: str | None = None) -> Outcome:
    """Take away what is accepted; entries that have expired count for nothing.

    Args:
        report: Trivy's.
        target: What was scanned, as Outcome has it.
        entries: Of the ignore file.
        today: In UTC.
        service: The service whose image it is, where that is not the target's name.
    """
    service = service or target
    valid = [entry for entry in entries if not entry.expired(today)]
    left: list[Finding] = []
    ignored: list[Ignored] = []
    results = []
    for result in report.results:
        changes: dict[str, Any] = {}
        marked = list(result.modified)
        for field, reader in READERS.items():
            kept = []
            for item in getattr(result, field):
                finding = reader(item, result)
                entry = next((one for one in valid if one.covers(finding, service)), None)
                if entry is None:
                    kept.append(item)
                    left.append(finding)
                else:
                    ignored.append(Ignored(finding, entry))
                    marked.append(_mark(item, finding, entry))
            if len(kept) < len(getattr(result, field)):
                changes[field] = kept
        results.append(result.model_copy(update={**changes, "modified": marked}) if changes else result)
    return Outcome(
        target,
        service,
        report.model_copy(update={"results": results}),
        tuple(sorted(left, key=lambda finding: finding.order)),
        tuple(sorted(ignored, key=lambda one: one.finding.order)),
    )


def _mark(item: BaseModel, finding: Finding, entry: Entry) -> dict[str, Any]:
    """A finding in the form that Trivy itself gives to those that its own ignore file names."""
    return {
        "Type": finding.kind,
        "Status": "ignored",
        "Statement": f"{entry.accepted.reason} (until {entry.accepted.expires})",
        "Source": entry.where,
        "Finding": item.model_dump(mode="json", by_alias=True, exclude_unset=True),
    }


def expired(entries: Iterable[Entry], today: date) -> list[str]:
    """A line for each entry whose last day is over."""
    return [
        f"{entry.where}: {entry.accepted.id}: accepted until {entry.accepted.expires}, which is over; "
        "look at it again, then renew its date or remove it"
        for entry in entries
        if entry.expired(today)
    ]


def idle(entries: Iterable[Entry], outcomes: Sequence[Outcome], *, everything: bool) -> list[str]:
    """A line for each entry that accepts nothing, of those about which this run can tell.

    Args:
        entries: Of the ignore file.
        outcomes: Of all that was scanned.
        everything: Whether that is all that an entry without services speaks of.
    """
    targets = {outcome.service for outcome in outcomes}
    used = {one.entry.where for outcome in outcomes for one in outcome.ignored}
    return [
        f"{entry.where}: {entry.accepted.id}: nothing of it was found in {', '.join(sorted(targets))}"
        for entry in entries
        if entry.where not in used
        and (set(entry.accepted.services) <= targets if entry.accepted.services else everything)
    ]
