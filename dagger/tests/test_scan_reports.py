# SPDX-License-Identifier: Apache-2.0
"""Whether Trivy really looked, what a scan says in the end, and its page."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from cowabungaai import ignores, scan, scan_charts, scan_page, scan_summary
from cowabungaai.errors import ScanError
from cowabungaai.findings import parse_severities
from cowabungaai.report import LeftOut
from cowabungaai.scan_charts import Chart
from cowabungaai.scan_summary import Scanned
from cowabungaai.trivy_report import Report, parse_report

UPDATED = datetime(2026, 11, 25, 6, tzinfo=UTC)
TODAY = date(2026, 11, 26)
DEBIAN = {"Target": "x.tar (debian 13.2)", "Class": "os-pkgs", "Type": "debian", "Packages": [{"Name": "libc6"}]}
PYTHON = {"Target": "Python", "Class": "lang-pkgs", "Type": "python-pkg", "Packages": [{"Name": "grpcio"}]}
IGNORE = """ignore:
- id: CVE-2026-0003
  reason: <b>never</b> reached
  expires: 2026-12-31
- id: CVE-2026-0004
  reason: wait
  expires: 2026-11-25
"""


def report(*results: dict[str, Any], system: dict[str, Any] | None = None) -> Report:
    metadata = {"OS": {"Family": "debian", "Name": "13.2"} if system is None else system}
    raw = {"SchemaVersion": 2, "ArtifactName": "x.tar", "Metadata": metadata, "Results": list(results)}
    return parse_report(json.dumps(raw), "repeater")


def vulnerability(number: int, severity: str, **more: str) -> dict[str, str]:
    return {
        "VulnerabilityID": f"CVE-2026-{number:04}",
        "PkgName": "libc6",
        "InstalledVersion": "2.41",
        "Severity": severity,
        "Title": "A fault",
        **more,
    }


def scanned(severities: str = "CRITICAL,HIGH") -> Scanned:
    """Two images: the first with a finding that fails, one that does not, and an accepted one; the second clean."""
    found = [
        vulnerability(1, "LOW"),
        vulnerability(2, "HIGH", FixedVersion="2.42", PrimaryURL="https://example.test/2"),
        vulnerability(3, "HIGH"),
    ]
    entries = ignores.parse(IGNORE, "ignore.yaml")
    dirty = report({**DEBIAN, "Vulnerabilities": found}, PYTHON)
    outcomes = [ignores.apply(dirty, "api", entries, TODAY), ignores.apply(report(DEBIAN), "repeater", entries, TODAY)]
    return Scanned(
        parse_severities(severities),
        UPDATED,
        outcomes,
        ignores.expired(entries, TODAY),
        ["ignore.yaml:9: CVE-1: nothing of it was found in api"],
        [LeftOut(service="vllm", reason="it has the flavor gpu alone")],
    )


def test_an_image_that_was_looked_at_tells_what_the_database_must_know() -> None:
    assert scan.check_image(report(DEBIAN, PYTHON), "repeater") == ["debian 13", "pip::"]


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        (report(DEBIAN, PYTHON, system={}), "does not tell of which distribution"),
        (report(DEBIAN, PYTHON, system={"Family": "none", "Name": "x"}), "does not tell of which distribution"),
        (report(DEBIAN, PYTHON, system={"Family": "debian", "Name": "10", "EOSL": True}), "debian 10 has ended"),
        (report(PYTHON), "no Debian package"),
        (report({**DEBIAN, "Packages": []}, PYTHON), "no Debian package"),
        (report(DEBIAN), "no Python package"),
        (report(), "no Debian package"),
        (report(DEBIAN, PYTHON, {**PYTHON, "Type": "jar"}), "of a sort that is not known here: jar"),
    ],
)
def test_an_image_that_was_not_looked_at_never_passes(seen: Report, told: str) -> None:
    with pytest.raises(ScanError, match=f"repeater: .*{told}"):
        scan.check_image(seen, "repeater")


def test_every_lock_file_must_have_been_read() -> None:
    both = ["services/api/requirements.lock", "toolchain/go/zarf/go.mod"]
    locks, modules = (
        {**PYTHON, "Type": kind, "Target": file} for kind, file in zip(("pip", "gomod"), both, strict=True)
    )
    assert scan.check_tree(report(locks, modules), both) == ["go::", "pip::"]
    with pytest.raises(ScanError, match=r"did not read toolchain/go/zarf/go\.mod"):
        scan.check_tree(report(locks), both)
    with pytest.raises(ScanError, match="no lock file"):
        scan.check_tree(report(locks), [])


def test_lock_files_of_this_repository_are_found_and_match_what_trivy_is_told() -> None:
    root = Path(__file__).parents[2]
    found = scan.lock_files(root)
    assert {"dagger/requirements.lock", "services/whisper/model.lock", "toolchain/requirements/lint.lock"} <= set(found)
    assert "toolchain/go/trivy/go.mod" in found
    patterns = [re.compile(pattern.partition(":")[2]) for pattern in scan.LOCK_PATTERNS]
    for file in found:
        assert file.endswith("go.mod") or any(pattern.search(file) for pattern in patterns), file
    # Pins of Debian packages: these are in the images, and looked at there.
    assert not [file for file in found if file.startswith("toolchain/images/")]


ZARF = """
variables:
  - {name: SECRET, default: the-secret}
  - {name: EMPTY, default: ""}
components:
  - name: api
    charts:
      - {name: api, localPath: chart, valuesFiles: [values/upstream.yaml]}
  - name: api
    charts:
      - {name: api, localPath: chart, valuesFiles: [values/upstream.yaml]}
  - name: remote
    charts:
      - {name: other, url: "https://example.test"}
"""


def test_charts_are_rendered_as_packages_install_them_and_others_as_they_are() -> None:
    described = {
        "packages/api/chart/Chart.yaml": "dependencies: [{name: b, repository: file://../../common/chart}, {name: c}]",
        "packages/common/chart/Chart.yaml": "type: library",
        "bundles/chart/Chart.yaml": "name: a",
    }
    charts = scan_charts.charts_of(described, {"packages/api/zarf.yaml": ZARF})
    assert charts == [
        Chart(
            "packages/api/chart",
            ("packages/api/values/upstream.yaml",),
            (("SECRET", "the-secret"),),
            (("b", "packages/common/chart"),),
        ),
        Chart("bundles/chart"),
    ]
    text = 'a: "###ZARF_VAR_SECRET###"\nb: "###ZARF_VAR_EMPTY###"\nc: "###ZARF_PKG_TMPL_IMAGE###"\n'
    assert scan_charts.filled('a: "###ZARF_VAR_DATABASE_CIDR###"\n', charts[0]) == 'a: "192.0.2.0/24"\n'
    assert scan_charts.filled(text, charts[0]) == (
        'a: "the-secret"\nb: "chosen-later"\nc: "registry.example/image:1.0.0"\n'
    )


def test_charts_are_rendered_with_the_values_for_gpus_too() -> None:
    described = {"packages/api/chart/Chart.yaml": "name: a", "packages/b/chart/Chart.yaml": "name: b"}
    gpu = ["packages/api/values/gpu.yaml", "packages/other/values/gpu.yaml"]
    packages = {f"packages/{name}/zarf.yaml": ZARF for name in ("api", "b")}
    charts = scan_charts.charts_of(described, packages, gpu)
    assert [(chart.folder, chart.values) for chart in charts] == [
        ("packages/api/chart", ("packages/api/values/upstream.yaml",)),
        ("packages/api/chart", ("packages/api/values/upstream.yaml", "packages/api/values/gpu.yaml")),
        ("packages/b/chart", ("packages/b/values/upstream.yaml",)),
    ]


def test_a_chart_that_could_not_be_rendered_never_passes() -> None:
    check = {"ID": "KSV-1", "Status": "PASS", "Severity": "HIGH"}
    seen = {"Target": "templates/x.yaml", "Class": "config", "Misconfigurations": [check, {**check, "Status": "FAIL"}]}
    (result,) = scan_charts.failures(report(seen), Chart("packages/api/chart"))
    assert result.target == "packages/api/chart/templates/x.yaml"
    assert [one.status for one in result.misconfigurations] == ["FAIL"]
    with pytest.raises(ScanError, match=r"packages/api/chart: Trivy could not render the chart with values\.yaml"):
        scan_charts.failures(report(), Chart("packages/api/chart", ("values.yaml",)))


def test_the_summary_tells_what_fails() -> None:
    summary = scan_summary.summarise(scanned())
    assert not summary.passed
    assert [(one.target, one.passed, one.ignored) for one in summary.targets] == [
        ("api", False, 1),
        ("repeater", True, 0),
    ]
    assert summary.targets[0].failing == ["HIGH vulnerability CVE-2026-0002: libc6 2.41 (fixed in 2.42): A fault"]
    assert summary.targets[0].found == {"CRITICAL": 0, "HIGH": 1, "MEDIUM": 0, "LOW": 1, "UNKNOWN": 0}
    assert summary.targets[0].packages == 2
    assert summary.severities == ["CRITICAL", "HIGH"]


def test_each_target_tells_how_long_it_took() -> None:
    timed = replace(scanned(), seconds={"repeater": 2.5})
    assert [target.seconds for target in scan_summary.summarise(timed).targets] == [None, 2.5]


def test_what_is_below_the_chosen_severities_does_not_fail_but_an_expired_entry_does() -> None:
    summary = scan_summary.summarise(scanned("CRITICAL"))
    assert all(one.passed for one in summary.targets)
    assert not summary.passed
    assert summary.expired[0].startswith("ignore.yaml:5: CVE-2026-0004: accepted until 2026-11-25")


def test_the_message_tells_of_all_targets_also_where_one_could_not_be_scanned() -> None:
    told = scan_summary.message(scanned(), ["scan whisper: no space left"]).splitlines()
    assert told[:5] == [
        "scan whisper: no space left",
        "api: 2 packages looked at, 1 HIGH, 1 LOW, 1 accepted",
        "  SEVERITY  KIND           ID             WHERE       FIXED IN  WHAT",
        "  HIGH      vulnerability  CVE-2026-0002  libc6 2.41  2.42      A fault",
        "repeater: 1 packages looked at, nothing found",
    ]
    assert "vllm: not scanned: it has the flavor gpu alone" in told


def test_of_very_many_findings_the_message_shows_the_first() -> None:
    found = [vulnerability(number, "HIGH") for number in range(scan_summary.MAX_LINES + 5)]
    outcome = ignores.apply(report({**DEBIAN, "Vulnerabilities": found}), "api", [], TODAY)
    told = scan_summary.message(Scanned(("HIGH",), UPDATED, [outcome]))
    assert told.count("CVE-2026-") == scan_summary.MAX_LINES - 1, "one line is for the heads"
    assert told.endswith("... and 6 more, in api/table.txt")


def test_the_page_stands_alone_and_shows_all_findings_escaped() -> None:
    page = scan_page.render(scanned(), "Scan of <images>")
    assert "Scan of &lt;images&gt;" in page
    assert "&lt;b&gt;never&lt;/b&gt; reached" in page
    for number in (1, 2, 3):
        assert f"CVE-2026-{number:04}" in page
    assert page.index("CVE-2026-0002") < page.index("CVE-2026-0001"), "the worst first"
    assert not re.search(r"<(script|link|img|iframe)\b|@import|url\(", page), "nothing is loaded"
    assert "prefers-color-scheme: dark" in page


def test_only_web_addresses_become_links() -> None:
    found = [vulnerability(1, "LOW", PrimaryURL="javascript:alert(1)")]
    outcome = ignores.apply(report({**DEBIAN, "Vulnerabilities": found}), "api", [], TODAY)
    assert "javascript:" not in scan_page.render(Scanned(("HIGH",), UPDATED, [outcome]), "Scan")


def test_counts_have_every_severity() -> None:
    counts = scan_summary.summarise(scanned()).targets[1].found
    assert list(counts) == ["CRITICAL", "HIGH", "MEDIUM", "LOW", "UNKNOWN"]
