# SPDX-License-Identifier: Apache-2.0
"""A release in one call: what comes out is whole, signed and proved, and what it tells operators to do works."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from harness import Run

from cowabunga import gotools
from shared.vulnerabilities import ELSEWHERE, build

pytestmark = pytest.mark.slow
WHOLE = ("integration", "scan of sources")
PASSWORD = "of-this-test"  # noqa: S105 - of a key that is made here
SERVICES = ("repeater", "api")


@dataclass(frozen=True)
class Released:
    """A release, and the public key that an operator has."""

    folder: Path
    public: Path


@pytest.fixture(scope="module")
def released(dagger: Run, tmp_path_factory: pytest.TempPathFactory) -> Released:
    """The small bundle, released as a whole."""
    folder = tmp_path_factory.mktemp("release")
    courier = gotools.ensure("courier") / "courier"
    environment = {**os.environ, "COSIGN_PASSWORD": PASSWORD}
    private, public = folder / "cosign.key", folder / "cosign.pub"
    making = [courier, "keygen", "--private", private, "--public", public]
    subprocess.run(making, env=environment, check=True, capture_output=True)
    (folder / "database").mkdir()
    database = build(folder / "database", ELSEWHERE)
    chosen = [option for service in SERVICES for option in ("--services", service)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COSIGN_PASSWORD", PASSWORD)
        finished = dagger(
            "call",
            "release",
            *chosen,
            *("--bundle", "dev", "--version", "1.2.3", "--db", database),
            *("--key", f"file:{private}", "--key-password", "env:COSIGN_PASSWORD"),
            *("export", "--path", folder / "dist"),
        )
    assert finished.returncode == 0, finished.stderr
    assert PASSWORD not in finished.stderr + finished.stdout
    return Released(folder / "dist", public)


def test_all_of_it_verifies_as_the_instructions_say(released: Released) -> None:
    told = (released.folder / "INSTALL.md").read_text()
    assert "tools/courier verify . --key /path/to/your/cosign.pub" in told
    command = ["tools/courier", "verify", ".", "--key", released.public, "--json"]
    finished = subprocess.run(command, cwd=released.folder, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_it_holds_all_that_an_enclave_needs(released: Released) -> None:
    folder = released.folder
    assert {path.name for path in (folder / "tools").iterdir()} == {"courier", "uds", "zarf"}
    assert len(list((folder / "packages").glob("zarf-package-cowabungaai-*.tar.zst"))) == len(SERVICES)
    (bundle,) = (folder / "bundles").glob("*.tar.zst")
    assert bundle.name == "uds-bundle-cowabungaai-dev-amd64-1.2.3.tar.zst"
    assert (folder / "bundles/dev-uds-config.yaml").is_file()
    assert {path.name for path in (folder / "sbom").iterdir()} == {
        f"{service}.{form}" for service in SERVICES for form in ("spdx.json", "cdx.json")
    }
    proof = json.loads((folder / "airgap/proof.json").read_text())
    assert proof["passed"] is True
    assert proof["bundle"]["file"] == bundle.name
    report = json.loads((folder / "report/release-report.json").read_text())
    assert report["state"] == "passed"
    assert {stage["name"]: stage["state"] for stage in report["whole"]} == dict.fromkeys(WHOLE, "passed")
    assert {one["service"] for one in report["packages"]} == set(SERVICES)
    for page in ("index.html", "scan-source/index.html", "report/index.html", "scan/index.html", "airgap/index.html"):
        text = (folder / page).read_text()
        assert 'src="http' not in text, "pages open without a network"
    index = (folder / "index.html").read_text()
    assert all(str(path.relative_to(folder)) in index for path in (folder / "packages").iterdir())


def test_one_flipped_bit_is_found(released: Released, tmp_path: Path) -> None:
    (bundle,) = (released.folder / "bundles").glob("*.tar.zst")
    (tmp_path / "bundles").mkdir()
    shutil.copytree(released.folder / "provenance", tmp_path / "provenance")
    copy = Path(shutil.copy(bundle, tmp_path / "bundles"))

    def verified() -> int:
        command = [released.folder / "tools/courier", "verify", copy, "--key", released.public]
        return subprocess.run(command, capture_output=True, text=True, check=False).returncode

    assert verified() == 0
    damaged = bytearray(copy.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    copy.write_bytes(damaged)
    assert verified() == 12
