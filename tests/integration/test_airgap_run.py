# SPDX-License-Identifier: Apache-2.0
"""A bundle is installed from itself alone, where there is no network, and one that is not whole is not."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import pytest
import yaml
import zstandard
from harness import CHECKOUT, Run, exported

pytestmark = pytest.mark.slow
# What nothing may reach: addresses of documentation, and name servers that many programs would ask.
OUTSIDE = {"192.0.2.1", "2001:db8::1", "1.1.1.1", "8.8.8.8"}


@pytest.fixture(scope="module")
def bundle(dagger: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest bundle, as the real uds makes it of the real packages."""
    folder = tmp_path_factory.mktemp("bundle")
    file = exported(dagger, folder, "bundle", "--name", "dev")
    config = yaml.safe_load((folder / "uds-config.yaml").read_text())["variables"]
    assert config["cowabungaai-api"]["API_REPLICAS"] == 1
    assert file.name.startswith("uds-bundle-cowabungaai-dev-")
    return file


def test_a_whole_bundle_is_installed_and_answers(bundle: Path, dagger: Run, tmp_path: Path) -> None:
    finished = dagger("call", "airgap-proof", "--bundle", bundle, "export", "--path", tmp_path)
    assert finished.returncode == 0, finished.stderr
    proof = json.loads((tmp_path / "proof.json").read_text())
    assert proof["passed"] is True
    assert [package["name"] for package in proof["packages"]] == ["cowabungaai-repeater", "cowabungaai-api"]
    assert {pod["user"] for pod in proof["pods"]} == {"65532:65532"}
    (suite,) = proof["suites"]
    assert suite["failures"] == 0
    assert suite["tests"] - suite["skipped"] > 500
    assert {one["unroutable"] for one in proof["network"]["namespaces"]} == {0}, "nothing was sent elsewhere"
    assert {one["lookups"] for one in proof["network"]["namespaces"]} == {0}, "no name was asked for"
    assert set(proof["network"]["unreachable"]) == OUTSIDE
    page = (tmp_path / "index.html").read_text()
    assert "Passed" in page
    assert proof["bundle"]["sha256"] in page


def test_a_bundle_for_which_the_suite_fails_is_not_proved(bundle: Path, dagger: Run, tmp_path: Path) -> None:
    suite = tmp_path / "suite"
    suite.mkdir()
    # What is installed for the suite.
    shutil.copy(CHECKOUT / "tests/conformance/requirements.lock", suite)
    (suite / "test_wrong.py").write_text("def test_wrong():\n    assert 1 == 2\n")
    proving = ("call", "airgap-proof", "--bundle", bundle, "--suite", suite)
    finished = dagger(*proving)
    assert finished.returncode != 0
    assert "airgap-proof: the suite fails for repeater; see its pytest.txt" in finished.stderr
    reports = dagger(*proving, "--exit-code", "0", "export", "--path", tmp_path / "out")
    assert reports.returncode == 0, reports.stderr
    proof = json.loads((tmp_path / "out/proof.json").read_text())
    assert (proof["passed"], proof["suites"][0]["failures"]) == (False, 1)
    assert "assert 1 == 2" in (tmp_path / "out/repeater/pytest.txt").read_text()


def test_a_bundle_that_lacks_an_image_is_not_installed(bundle: Path, dagger: Run, tmp_path: Path) -> None:
    broken = tmp_path / bundle.name
    with (
        bundle.open("rb") as old,
        tarfile.open(fileobj=zstandard.ZstdDecompressor().stream_reader(old), mode="r|") as whole,
        broken.open("wb") as new,
        zstandard.ZstdCompressor().stream_writer(new) as compressed,
        tarfile.open(fileobj=compressed, mode="w|") as less,
    ):
        left_out = ""
        for member in whole:
            # Files of this size are layers of images alone.
            if not left_out and member.size > 5_000_000:
                left_out = Path(member.name).name
                continue
            less.addfile(member, whole.extractfile(member) if member.isreg() else None)
    finished = dagger("call", "airgap-proof", "--bundle", broken)
    assert finished.returncode != 0
    assert f"airgap-proof: the bundle lacks the blob sha256:{left_out}" in finished.stderr
    reports = dagger(
        "call", "airgap-proof", "--bundle", broken, "--exit-code", "0", "export", "--path", tmp_path / "out"
    )
    assert reports.returncode == 0, reports.stderr
    proof = json.loads((tmp_path / "out/proof.json").read_text())
    assert proof["passed"] is False
    assert left_out in proof["failure"]
    assert "Failed" in (tmp_path / "out/index.html").read_text()
