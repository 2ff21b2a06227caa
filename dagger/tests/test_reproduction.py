# SPDX-License-Identifier: Apache-2.0
"""What another machine's report says was built, and what is told where it is not what is built here."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml
import zstandard

from cowabungaai import reproduction
from cowabungaai.errors import ReproductionError
from cowabungaai.package_report import contents_digest
from cowabungaai.reproduction import Artifact

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "dagger/src/cowabungaai/read_definition.py"
IMAGE = {"service": "repeater", "flavor": "cpu", "digest": "sha256:1"}
PACKAGE = {
    "service": "repeater",
    "flavor": "cpu",
    "variant": "upstream",
    "file": "p.tar.zst",
    "version": "1",
    "size": 1,
    "image": "i",
    "image_digest": "sha256:1",
    "model": None,
    "budget": None,
    "contents": "sha256:2",
}
DEFINITION = {"kind": "ZarfPackageConfig", "metadata": {"aggregateChecksum": "1"}, "build": {"timestamp": "now"}}


def parse(**report: Any) -> reproduction.Elsewhere:
    return reproduction.parse(json.dumps(report), "report.json")


def artifact(built: str = "sha256:1", *, flavor: str = "cpu", cached: bool = False) -> Artifact:
    return Artifact(kind="image", service="repeater", flavor=flavor, expected="sha256:1", built=built, cached=cached)


@pytest.mark.parametrize("key", ["services", "images"])
def test_images_of_all_reports_are_read(key: str) -> None:
    told = parse(schema_version=1, **{key: [{**IMAGE, "layers": 3}]})
    assert [one.model_dump() for one in told.comparable_images()] == [IMAGE]
    assert told.comparable_packages() == []
    assert told.left_out() == []


def test_a_package_brings_its_image() -> None:
    told = parse(packages=[PACKAGE])
    assert [one.model_dump() for one in told.comparable_images()] == [IMAGE]
    assert [one.contents for one in told.comparable_packages()] == ["sha256:2"]
    assert parse(services=[IMAGE], packages=[PACKAGE]).comparable_images() == told.comparable_images()


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"contents": None}, "has no digest of its contents"), ({"variant": "hardened"}, "on somebody's own base")],
)
def test_what_cannot_be_compared_is_named(change: dict[str, Any], reason: str) -> None:
    told = parse(services=[IMAGE], packages=[{**PACKAGE, **change}])
    assert told.comparable_packages() == []
    (left,) = told.left_out()
    assert left.service == "repeater"
    assert reason in left.reason


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "report.json: expected build-report.json, .*; the file: Invalid JSON"),
        ('{"services": [{"service": "a"}]}', r"services\.0\.flavor: Field required"),
        ("{}", "with something to compare, got none"),
        (json.dumps({"packages": [{**PACKAGE, "variant": "hardened"}]}), "got none\nrepeater: it stands on"),
        (
            json.dumps({"services": [IMAGE, {**IMAGE, "digest": "sha256:9"}]}),
            r"digests for the image of repeater \(cpu\)",
        ),
        (
            json.dumps({"packages": [PACKAGE, {**PACKAGE, "contents": "sha256:9"}]}),
            r"two digests for the package of repeater \(cpu\)",
        ),
    ],
)
def test_what_is_no_report_is_refused(text: str, message: str) -> None:
    with pytest.raises(ReproductionError, match=message):
        reproduction.parse(text, "report.json")


def test_what_differs_is_told_beside_what_does_not() -> None:
    reproduction.check([artifact()])
    with pytest.raises(ReproductionError) as told:
        reproduction.check([artifact(cached=True), artifact("sha256:7", flavor="gpu")])
    assert "image repeater: the same, sha256:1, out of this engine's cache" in str(told.value)
    assert "image repeater (gpu): expected sha256:1, got sha256:7" in str(told.value)


def test_contents_leave_out_the_build_record_and_nothing_else() -> None:
    digest = contents_digest(yaml.safe_dump(DEFINITION))
    assert digest == contents_digest(yaml.safe_dump({**DEFINITION, "build": {"timestamp": "later"}}, sort_keys=False))
    assert digest != contents_digest(yaml.safe_dump({**DEFINITION, "metadata": {"aggregateChecksum": "2"}}))


def package(path: Path, name: str) -> Path:
    text = yaml.safe_dump(DEFINITION).encode()
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for member, content in (("checksums.txt", b"x" * 100_000), (name, text)):
            entry = tarfile.TarInfo(member)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    path.write_bytes(zstandard.compress(archive.getvalue()))
    return path


@pytest.mark.parametrize(("name", "code"), [("zarf.yaml", 0), ("uds-bundle.yaml", 1)])
def test_the_definition_is_read_out_of_a_package(name: str, code: int, tmp_path: Path) -> None:
    made = package(tmp_path / "p.tar.zst", name)
    ran = subprocess.run([sys.executable, PROGRAM, made], capture_output=True, text=True, check=False)
    assert ran.returncode == code
    if code:
        assert ran.stderr == "p.tar.zst is no Zarf package: it has no zarf.yaml\n"
    else:
        assert yaml.safe_load(ran.stdout) == DEFINITION
