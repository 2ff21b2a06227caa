# SPDX-License-Identifier: Apache-2.0
"""Findings in Trivy's report, the ignore file, and what is left when the one is taken from the other."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from cowabungaai import ignores
from cowabungaai.errors import IgnoreFileError, ScanError
from cowabungaai.findings import count_by_severity, parse_severities
from cowabungaai.ignores import Entry
from cowabungaai.trivy_report import parse_report

TODAY = date(2026, 11, 26)
VULNERABILITY = {
    "VulnerabilityID": "CVE-2026-0001",
    "PkgName": "zlib1g",
    "InstalledVersion": "1:1.3",
    "FixedVersion": "1:1.4",
    "Severity": "HIGH",
    "Title": "A fault",
    "CVSS": {"nvd": {"V3Score": 7.5}},
}
IN_PYTHON = {**VULNERABILITY, "VulnerabilityID": "CVE-2026-0002", "PkgName": "grpcio", "Severity": "LOW"}
CHECK = {
    "ID": "KSV-0014",
    "AVDID": "AVD-KSV-0014",
    "Status": "FAIL",
    "Severity": "MEDIUM",
    "CauseMetadata": {"StartLine": 7},
}
SECRET = {
    "RuleID": "aws-access-key-id",
    "Severity": "CRITICAL",
    "Title": "AWS key",
    "StartLine": 3,
    "Match": "key=****",
}
LICENCE = {"Name": "GPL-3.0-only", "PkgName": "readline", "Severity": "HIGH", "Category": "restricted"}
REPORT: dict[str, Any] = {
    "SchemaVersion": 2,
    "ArtifactName": "repeater.tar",
    "Trivy": {"Version": "0.74.0"},
    "Results": [
        {
            "Target": "repeater.tar (debian 13.2)",
            "Class": "os-pkgs",
            "Type": "debian",
            "Vulnerabilities": [VULNERABILITY],
        },
        {"Target": "Python", "Class": "lang-pkgs", "Type": "python-pkg", "Vulnerabilities": [IN_PYTHON]},
        {"Target": "chart/templates/deployment.yaml", "Class": "config", "Misconfigurations": [CHECK]},
        {"Target": "/app/settings.py", "Class": "secret", "Secrets": [SECRET]},
        {"Target": "OS Packages", "Class": "license", "Licenses": [LICENCE]},
    ],
}
ALL = ("CVE-2026-0001", "CVE-2026-0002", "KSV-0014", "aws-access-key-id", "GPL-3.0-only")


def entries(*more: dict[str, Any]) -> list[Entry]:
    """Entries of an ignore file that accepts the first vulnerability, if not told otherwise."""
    written = [{"id": "CVE-2026-0001", "reason": "not reached", "expires": "DATE", **one} for one in more]
    text = json.dumps({"ignore": written}, indent=1).replace('"DATE"', "2026-12-31")
    return ignores.parse(text, "ignore.yaml")


def left(*more: dict[str, Any], target: str = "repeater") -> set[str]:
    outcome = ignores.apply(parse_report(json.dumps(REPORT), "repeater"), target, entries(*more), TODAY)
    return {finding.id for finding in outcome.findings}


def test_all_sorts_of_findings_are_read_the_worst_first() -> None:
    outcome = ignores.apply(parse_report(json.dumps(REPORT), "repeater"), "repeater", [], TODAY)
    assert [(one.severity, one.kind, one.subject) for one in outcome.findings] == [
        ("CRITICAL", "secret", "app/settings.py:3"),
        ("HIGH", "vulnerability", "zlib1g 1:1.3"),
        ("HIGH", "license", "readline"),
        ("MEDIUM", "misconfiguration", "chart/templates/deployment.yaml:7"),
        ("LOW", "vulnerability", "grpcio 1:1.3"),
    ]
    assert count_by_severity(outcome.findings) == {"CRITICAL": 1, "HIGH": 2, "MEDIUM": 1, "LOW": 1, "UNKNOWN": 0}


@pytest.mark.parametrize("name", [*ALL, "AVD-KSV-0014"])
def test_an_entry_accepts_what_it_names(name: str) -> None:
    assert left({"id": name}) == set(ALL) - {name.removeprefix("AVD-")}


@pytest.mark.parametrize(
    ("narrowed", "accepts"),
    [
        ({"packages": ["zlib1g"]}, True),
        ({"packages": ["libc6"]}, False),
        ({"services": ["repeater", "api"]}, True),
        ({"services": ["source"]}, False),
        ({"paths": ["app/*"]}, False),
        ({"id": "aws-access-key-id", "paths": ["app/*"]}, True),
        ({"id": "aws-access-key-id", "paths": ["other/*"]}, False),
        ({"id": "KSV-0014", "paths": ["*/deployment.yaml"]}, True),
    ],
)
def test_an_entry_accepts_no_more_than_it_says(narrowed: dict[str, Any], accepts: bool) -> None:
    assert (left(narrowed) != set(ALL)) is accepts


def test_an_entry_for_a_service_is_one_for_all_its_flavors() -> None:
    report = parse_report(json.dumps(REPORT), "repeater-gpu")
    entry = entries({"services": ["repeater"]})
    outcome = ignores.apply(report, "repeater-gpu", entry, TODAY, service="repeater")
    assert (outcome.target, [one.finding.id for one in outcome.ignored]) == ("repeater-gpu", ["CVE-2026-0001"])
    unused = entries({"services": ["repeater"], "packages": ["libc6"]})
    outcome = ignores.apply(report, "repeater-gpu", unused, TODAY, service="repeater")
    assert len(ignores.idle(unused, [outcome], everything=False)) == 1


def test_an_entry_holds_through_its_last_day() -> None:
    report = parse_report(json.dumps(REPORT), "repeater")
    accepted = entries({})
    assert "CVE-2026-0001" not in {one.id for one in ignores.apply(report, "r", accepted, date(2026, 12, 31)).findings}
    assert "CVE-2026-0001" in {one.id for one in ignores.apply(report, "r", accepted, date(2027, 1, 1)).findings}
    assert ignores.expired(accepted, date(2026, 12, 31)) == []
    assert ignores.expired(accepted, date(2027, 1, 1)) == [
        "ignore.yaml:3: CVE-2026-0001: accepted until 2026-12-31, which is over; "
        "look at it again, then renew its date or remove it"
    ]


def test_the_report_keeps_what_is_accepted_as_such_and_all_else_as_it_was() -> None:
    outcome = ignores.apply(parse_report(json.dumps(REPORT), "repeater"), "repeater", entries({}), TODAY)
    written = json.loads(outcome.report.text())
    expected = json.loads(json.dumps(REPORT))
    expected["Results"][0]["Vulnerabilities"] = []
    expected["Results"][0]["ExperimentalModifiedFindings"] = [
        {
            "Type": "vulnerability",
            "Status": "ignored",
            "Statement": "not reached (until 2026-12-31)",
            "Source": "ignore.yaml:3",
            "Finding": VULNERABILITY,
        }
    ]
    assert written == expected


def test_a_report_without_findings_is_written_as_it_was() -> None:
    outcome = ignores.apply(parse_report(json.dumps(REPORT), "repeater"), "repeater", [], TODAY)
    assert json.loads(outcome.report.text()) == REPORT


def test_entries_that_accept_nothing_are_told_where_this_run_can_know() -> None:
    report = parse_report(json.dumps(REPORT), "repeater")
    written = entries(
        {}, {"id": "CVE-1"}, {"id": "CVE-2", "services": ["repeater"]}, {"id": "CVE-3", "services": ["api"]}
    )
    outcome = ignores.apply(report, "repeater", written, TODAY)
    alone = ignores.idle(written, [outcome], everything=False)
    assert [line.split(": ")[1] for line in alone] == ["CVE-2"]
    everything = ignores.idle(written, [outcome], everything=True)
    assert [line.split(": ")[1] for line in everything] == ["CVE-1", "CVE-2"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ignore: [", "ignore.yaml:1: not valid YAML"),
        ("- x\n", "ignore.yaml:1: expected a mapping of one field, ignore"),
        ("ignore:\n- id: CVE-1\n  reason: why\n", "ignore.yaml:2: ignore.0.expires: field required"),
        (
            "ignore:\n- id: CVE-1\n  reason: ''\n  expires: 2027-01-01\n",
            "ignore.yaml:3: ignore.0.reason: string should",
        ),
        (
            "ignore:\n- id: CVE-1\n  reason: '  '\n  expires: 2027-01-01\n",
            "ignore.yaml:3: ignore.0.reason: string should",
        ),
        (
            "ignore:\n- id: A\n  reason: b\n  expires: soon\n",
            "ignore.yaml:4: ignore.0.expires: input should be a valid date",
        ),
        (
            "ignore:\n- id: A\n  reason: b\n  expires: 2027-02-30\n",
            "ignore.yaml:4: not valid YAML: '2027-02-30': day is out of range for month",
        ),
        (
            "ignore:\n- id: A\n  reason: b\n  expires: !!bool maybe\n",
            "ignore.yaml:4: not valid YAML: 'maybe': 'maybe'",
        ),
        (
            "ignore:\n- id: A\n  reason: b\n  expires: 2027-01-01\n  cve: x\n",
            "ignore.yaml:5: ignore.0.cve: extra inputs",
        ),
        (
            "ignore:\n- id: A\n  reason: b\n  expires: 2027-01-01\n  expires: 2099-01-01\n",
            "ignore.yaml:5: not valid YAML: expires is given twice, first in line 4",
        ),
    ],
)
def test_mistakes_in_the_file_are_told_with_their_lines(text: str, told: str) -> None:
    with pytest.raises(IgnoreFileError) as raised:
        ignores.parse(text, "ignore.yaml")
    assert told in str(raised.value)


@pytest.mark.parametrize(
    ("text", "read"),
    [("CRITICAL,HIGH", ("HIGH", "CRITICAL")), ("low, Medium", ("LOW", "MEDIUM")), ("UNKNOWN,", ("UNKNOWN",))],
)
def test_severities_are_read(text: str, read: tuple[str, ...]) -> None:
    assert parse_severities(text) == read


@pytest.mark.parametrize("text", ["", ",", "SEVERE", "HIGH,bad"])
def test_an_unknown_severity_lists_the_valid_ones(text: str) -> None:
    with pytest.raises(ScanError, match="expected one or more of UNKNOWN, LOW, MEDIUM, HIGH, CRITICAL"):
        parse_severities(text)


def test_a_report_of_another_form_is_refused() -> None:
    with pytest.raises(ScanError, match="repeater: Trivy's report is not as expected: SchemaVersion"):
        parse_report(json.dumps({**REPORT, "SchemaVersion": 3}), "repeater")
