# SPDX-License-Identifier: Apache-2.0
"""Scans and bills of materials, by the real Trivy, with small databases that the official builder made."""

from __future__ import annotations

import json
import re
import shutil
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from harness import CHECKOUT, Run

from cowabunga import gotools, images
from shared.registries import Faults, faulty, running_registry
from shared.secrecy import collecting, shown
from shared.vulnerabilities import Advisory, build, push

HERE = Advisory("CVE-2099-0001", "zlib", "1:99.0-1")
NOT_HERE = Advisory("CVE-2099-0002", "nginx", "99.0-1")
IN_PYTHON = Advisory("CVE-2099-0003", "grpcio", "99.0.0", "PyPI", "MODERATE")
IN_GO = Advisory("CVE-2099-0004", "github.com/aquasecurity/trivy", "99.0.0", "Go", "LOW")
ALL = [HERE, NOT_HERE, IN_PYTHON, IN_GO]
# Keys of the right form that nobody ever had, in two parts, so that no scanner takes them for real ones here.
KEYS = {"aws-access-key-id": "AKIA" + "Q3ZJ7XW2MNB5TRLC", "github-pat": "ghp_" + "k2Jd8sLq0ZxVb5NmWc7RtYf3HgPa9EuTi1Xo"}
CHART = "packages/repeater/chart/templates"
PRIVILEGED = """\
apiVersion: v1
kind: Pod
metadata: {name: privileged}
spec:
  containers:
    - {name: a, image: "a:1", securityContext: {privileged: true}}
"""
PASSWORD = "pa55-that-nobody-may-see-7f3a"  # noqa: S105 - of a registry that runs in a test
Scan = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new database."""
    return build(tmp_path_factory.mktemp("database"), ALL)


def ignore_file(folder: Path, *entries: dict[str, str]) -> Path:
    """An ignore file, in YAML that is JSON but for the dates."""
    text = json.dumps({"ignore": [{"reason": "a test", **entry} for entry in entries]}, indent=1)
    file = folder / "ignore.yaml"
    file.write_text(re.sub(r'"expires": "([0-9-]+)"', r'"expires": \1', text))
    return file


def failing(run: Run, *arguments: str | Path) -> str:
    """What a call that must fail says."""
    finished = run("call", *arguments)
    assert finished.returncode != 0, finished.stdout
    return finished.stderr


@pytest.fixture
def reports(dagger: Run, tmp_path: Path) -> Scan:
    """Runs a scan that must not fail, and reads its summary."""

    def run(*arguments: str | Path, **options: Any) -> dict[str, Any]:
        finished = dagger("call", *arguments, "export", "--path", tmp_path / "reports", **options)
        assert finished.returncode == 0, finished.stderr
        summary: dict[str, Any] = json.loads((tmp_path / "reports" / "summary.json").read_text())
        return summary

    return run


def test_a_vulnerability_of_the_image_fails_the_scan_and_one_of_others_is_not_named(
    dagger: Run, database: Path
) -> None:
    told = failing(dagger, "scan", "--service", "repeater", "--db", database)
    assert re.search(r"HIGH +vulnerability +CVE-2099-0001 +zlib1g 1:1\S+ +1:99\.0-1 +A fault of zlib", told), told
    assert NOT_HERE.id not in told
    assert IN_PYTHON.id not in told, "it is MEDIUM, and only CRITICAL and HIGH fail"
    assert "--exit-code 0 returns them" in told


def test_reports_of_a_failed_scan_can_be_had(reports: Scan, database: Path, tmp_path: Path) -> None:
    summary = reports("scan", "--service", "repeater", "--db", database, "--exit-code", "0")
    assert summary["passed"] is False
    (target,) = summary["targets"]
    assert target["system"].startswith("debian 13")
    assert len(target["failing"]) == 1
    folder = tmp_path / "reports" / "repeater"
    report = json.loads((folder / "report.json").read_text())
    found = {one["VulnerabilityID"] for result in report["Results"] for one in result.get("Vulnerabilities", [])}
    assert found == {HERE.id, IN_PYTHON.id}, "what does not fail is reported as well"
    sarif = json.loads((folder / "report.sarif").read_text())
    assert sarif["version"] == "2.1.0"
    assert found <= {one["ruleId"] for one in sarif["runs"][0]["results"]}
    assert sarif["runs"][0]["automationDetails"] == {"id": f"scan/{folder.name}/"}
    for text in ((folder / "table.txt").read_text(), (tmp_path / "reports" / "index.html").read_text()):
        assert all(name in text for name in found)
        assert NOT_HERE.id not in text


def test_severities_choose_what_fails(reports: Scan, dagger: Run, database: Path) -> None:
    assert reports("scan", "--service", "repeater", "--db", database, "--severity", "CRITICAL")["passed"] is True
    told = failing(dagger, "scan", "--service", "repeater", "--db", database, "--severity", "medium")
    assert IN_PYTHON.id in told
    assert HERE.id not in told.split("--exit-code 0")[0]


def test_an_unknown_severity_lists_the_valid_ones(dagger: Run) -> None:
    told = failing(dagger, "scan", "--service", "repeater", "--severity", "SEVERE")
    assert "expected one or more of UNKNOWN, LOW, MEDIUM, HIGH, CRITICAL, separated by commas; got SEVERE" in told


def test_an_accepted_finding_passes_until_its_day_is_over(
    reports: Scan, dagger: Run, database: Path, tmp_path: Path
) -> None:
    today = datetime.now(UTC).date()
    entry = {"id": HERE.id, "expires": str(today + timedelta(days=30))}
    accepted = ignore_file(tmp_path, entry)
    summary = reports("scan", "--service", "repeater", "--db", database, "--ignore-file", accepted)
    assert summary["passed"] is True
    assert summary["targets"][0]["ignored"] == 1
    table = (tmp_path / "reports" / "repeater" / "table.txt").read_text()
    assert HERE.id not in table
    assert "a test" in (tmp_path / "reports" / "index.html").read_text()
    expired = ignore_file(tmp_path, {**entry, "expires": str(date(2020, 1, 1))})
    told = failing(dagger, "scan", "--service", "repeater", "--db", database, "--ignore-file", expired)
    assert "ignore.yaml:3: CVE-2099-0001: accepted until 2020-01-01, which is over" in told
    assert re.search(rf"HIGH +vulnerability +{HERE.id}", told), "what has expired accepts nothing"


def test_an_old_database_fails_with_its_date_and_age(dagger: Run, tmp_path: Path) -> None:
    made = datetime.now(UTC) - timedelta(days=10, hours=1)
    old = build(tmp_path / "old", ALL, made)
    told = failing(dagger, "scan", "--service", "repeater", "--db", old)
    assert f"db.tar.gz was updated on {made:%Y-%m-%d %H:%M} UTC, 10 days ago; --max-db-age allows 7 days" in told
    told = failing(dagger, "scan", "--service", "repeater", "--db", old, "--max-db-age", "11d")
    assert re.search(rf"HIGH +vulnerability +{HERE.id}", told), "with eleven days it is used"


def test_a_database_that_knows_nothing_of_the_image_fails(dagger: Run, tmp_path: Path) -> None:
    told = failing(dagger, "scan", "--service", "repeater", "--db", build(tmp_path / "lame", [HERE]))
    assert "it knows nothing of pip::, so nothing of it would be found" in told


def test_no_database_fails(dagger: Run) -> None:
    told = failing(dagger, "scan", "--service", "repeater", "--db-cache", "cowabungaai-trivy-empty")
    assert "there is none: no trivy.db and no metadata.json; give one by --db FILE or --db-ref REFERENCE" in told


def test_a_file_that_is_no_database_fails(dagger: Run, tmp_path: Path) -> None:
    (tmp_path / "db.tar.gz").write_text("nonsense")
    told = failing(dagger, "scan", "--service", "repeater", "--db", tmp_path / "db.tar.gz")
    assert "the vulnerability database db.tar.gz: it is no readable tar.gz archive" in told


def test_a_database_comes_from_a_mirror_and_is_kept(
    dagger: Run, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A volume that holds a young database already would not ask the mirror.
    cache = f"--db-cache=cowabungaai-trivy-test-{uuid.uuid4()}"
    with running_registry(gotools.ensure("registry") / "registry", tmp_path / "registry") as registry:
        push(database, registry.host, "mirror/trivy-db")
        via = ["--db-via", f"tcp://{registry.host}", "--db-ref"]
        reference = f"local:{registry.port}/mirror/trivy-db:2"
        told = failing(dagger, "scan", "--service", "repeater", cache, *via, reference)
        assert re.search(rf"HIGH +vulnerability +{HERE.id}", told), told
        monkeypatch.setenv("DB_PASSWORD", PASSWORD)
        by = ("--db-username=reader", "--db-password=env:DB_PASSWORD", f"{cache}-closed")
        with faulty(registry, Faults(credentials=("reader", PASSWORD))) as proxy, collecting() as traces:
            closed = ("--db-via", f"tcp://{proxy.host}", "--db-ref", f"local:{proxy.port}/mirror/trivy-db:2")
            told = failing(dagger, "scan", "--service", "repeater", *by, *closed)
        assert re.search(rf"HIGH +vulnerability +{HERE.id}", told), told
        assert shown(PASSWORD, told, traces.of("scan")) == []
    told = failing(dagger, "scan", "--service", "repeater", cache)
    assert re.search(rf"HIGH +vulnerability +{HERE.id}", told), "the cache volume alone is enough"
    told = failing(dagger, "scan", "--service", "repeater", cache, "--db-ref=127.0.0.1:9/trivy-db:2")
    assert "127.0.0.1:9/trivy-db:2 could not be fetched" in told, "what another mirror gave does not stand in for it"


def test_what_was_published_is_scanned_again(dagger: Run, database: Path, tmp_path: Path) -> None:
    # What the engine gets from a registry: its own base image, which stands for a published one.
    index = json.loads((images.layout("python") / "index.json").read_text())
    reference = f"docker.io/library/python@{index['manifests'][0]['digest']}"
    place = {"registry": "r", "reference": reference, "tagged": reference, "tags": [], "seconds": 0}
    place |= dict.fromkeys(("bytes_sent", "requests", "failed"), 0)
    image = {"service": "base", "flavor": "cpu", "version": "3.13", "digest": reference[-71:], "gates": []}
    report = {"sha": "0123456", "release": False, "seconds": 0, "images": [{**image, "places": [place]}]}
    (tmp_path / "published.json").write_text(json.dumps(report))
    told = failing(dagger, "scan-published", "--published", tmp_path / "published.json", "--db", database)
    assert re.search(rf"HIGH +vulnerability +{HERE.id}", told), told


def test_a_mirror_that_is_not_there_fails(dagger: Run) -> None:
    told = failing(
        dagger, "scan", "--service", "repeater", "--db-cache=cowabungaai-trivy-empty", "--db-ref=127.0.0.1:9/trivy-db:2"
    )
    assert "the vulnerability database 127.0.0.1:9/trivy-db:2 could not be fetched" in told


@pytest.fixture
def with_secrets(tmp_path: Path) -> Path:
    """A copy of the repository with keys in a service's code and in its tests, and a chart that asks for too much."""
    tree = tmp_path / "tree"
    for part in ("dagger", "packages", "services", "toolchain", "security"):
        shutil.copytree(CHECKOUT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__", "sdk", ".*_cache"))
    shutil.copytree(
        CHECKOUT / "services" / "sdk", tree / "services" / "sdk", ignore=shutil.ignore_patterns("__pycache__")
    )
    lines = "".join(f'{name.replace("-", "_").upper()} = "{key}"\n' for name, key in KEYS.items())
    (tree / "services/repeater/src/cowabungaai_repeater/leaked.py").write_text(lines)
    (tree / "services/repeater/tests/leaked.py").write_text(lines)
    (tree / f"{CHART}/privileged.yaml").write_text(PRIVILEGED)
    return tree


def test_secrets_in_the_sources_are_found_and_never_shown(
    dagger: Run, reports: Scan, database: Path, tmp_path: Path, with_secrets: Path
) -> None:
    arguments = ("scan-source", "--tree", with_secrets, "--db", database)
    told = failing(dagger, *arguments)
    for file in ("src/cowabungaai_repeater/leaked.py", "tests/leaked.py"):
        assert f"services/repeater/{file}:1" in told
        assert f"services/repeater/{file}:2" in told
    reports(*arguments, "--exit-code", "0")
    written = [file for file in (tmp_path / "reports").rglob("*") if file.is_file()]
    assert len(written) == 5
    assert f"{CHART}/privileged.yaml" in told, "charts are looked at, too"
    for name, key in KEYS.items():
        assert name in told
        assert all(key not in text for text in (told, *(file.read_text() for file in written)))


def test_secrets_in_an_image_are_found_below_pythons_packages(dagger: Run, database: Path, with_secrets: Path) -> None:
    told = failing(dagger, "--source", with_secrets, "scan", "--service", "repeater", "--db", database)
    assert "dist-packages/cowabungaai_repeater/leaked.py:1" in told
    assert all(key not in told for key in KEYS.values())


def test_the_sources_pass_and_lock_files_are_read(reports: Scan, database: Path, tmp_path: Path) -> None:
    summary = reports("scan-source", "--db", database)
    assert summary["passed"] is True
    report = json.loads((tmp_path / "reports" / "source" / "report.json").read_text())
    found = {
        (result["Target"], one["VulnerabilityID"])
        for result in report["Results"]
        for one in result.get("Vulnerabilities", [])
    }
    assert ("services/repeater/requirements.lock", IN_PYTHON.id) in found
    assert ("toolchain/go/trivy/go.mod", IN_GO.id) in found


def test_nothing_but_the_ignore_file_hides_what_is_wrong_in_a_chart(dagger: Run, database: Path, sources: Path) -> None:
    chart = sources / "packages/repeater/chart"
    pod = "spec: {containers: [{name: a, image: a:1, securityContext: {privileged: true}}]}\n"
    template = chart / "templates/open.yaml"
    template.write_text(f"apiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\n{pod}")
    (chart / ".trivyignore").write_text("KSV-0017\nAVD-KSV-0017\n")
    (chart / "trivy.yaml").write_text("severity: [LOW]\nscan: {skip-files: [templates/open.yaml]}\n")
    told = failing(dagger, "scan-source", "--tree", sources, "--db", database)
    assert re.search(r"KSV-0017 +packages/repeater/chart/templates/open\.yaml", told)
    template.write_text(f"# trivy:ignore:KSV-0017\n{template.read_text()}")
    (sources / "images.py").mkdir()
    (sources / "images.py/Dockerfile.go").write_text("# trivy:ignore:*\nFROM scratch\n")
    told = failing(dagger, "scan-source", "--tree", sources, "--db", database)
    assert "packages/repeater/chart/templates/open.yaml:1: " in told
    assert "images.py/Dockerfile.go:1: " in told
    assert "security/ignore.yaml accepts it, with a reason and a last day" in told


def test_a_service_that_cannot_be_scanned_does_not_hide_the_others(dagger: Run, database: Path, sources: Path) -> None:
    (sources / "services/sdk/requirements.lock").write_text(
        "no-such-package-anywhere==1.0 --hash=sha256:" + "0" * 64 + "\n"
    )
    told = failing(dagger, "--source", sources, "scan-all", "--services", "repeater,sdk", "--db", database)
    assert "scan sdk: " in told
    assert re.search(rf"HIGH +vulnerability +{HERE.id}", told), "the repeater's findings are told as well"


def test_bills_of_materials_name_all_that_is_in_the_image(dagger: Run, tmp_path: Path) -> None:
    finished = dagger("call", "sbom", "--service", "repeater", "export", "--path", tmp_path)
    assert finished.returncode == 0, finished.stderr
    spdx = json.loads((tmp_path / "repeater.spdx.json").read_text())
    cyclonedx = json.loads((tmp_path / "repeater.cdx.json").read_text())
    lock = (CHECKOUT / "services/repeater/requirements.lock").read_text()
    grpcio = re.search(r"^grpcio==(\S+)", lock, re.MULTILINE)
    assert grpcio is not None
    for named in (
        {(one["name"], one.get("versionInfo")) for one in spdx["packages"]},
        {(one["name"], one.get("version")) for one in cyclonedx["components"]},
    ):
        assert ("grpcio", grpcio[1]) in named
        assert ("cowabungaai-repeater", "0.1.0") in named
        assert {name for name, _ in named} >= {"libc6", "zlib1g", "python3.13-minimal", "cowabungaai-sdk"}


def test_an_incomplete_bill_of_materials_is_refused(dagger: Run, sources: Path) -> None:
    """The lock file names a package that the image has lost."""
    described = sources / "services/repeater/service.yaml"
    described.write_text(described.read_text() + "left_out: ['tenacity*', 'tenacity*/**']\n")
    told = failing(dagger, "--source", sources, "sbom", "--service", "repeater")
    assert re.search(r"repeater\.spdx\.json: the Python package tenacity \S+ is missing", told), told
    assert re.search(r"repeater\.cdx\.json: the Python package tenacity \S+ is missing", told), told
