# SPDX-License-Identifier: Apache-2.0
"""A release in one call: what comes out is whole, signed and proved, and what it tells operators to do works."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from harness import ATTACHED, CHECKOUT, RELEASED, Released, Run, statement

from shared.secrecy import shown

pytestmark = pytest.mark.slow
WHOLE = ("integration", "scan of sources")


def test_all_of_it_verifies_as_the_instructions_say(released: Released) -> None:
    told = (released.folder / "INSTALL.md").read_text()
    assert "tools/courier verify . --key /path/to/your/cosign.pub" in told
    command: list[str | Path] = ["tools/courier", "verify", ".", "--key", released.public, "--json"]
    finished = subprocess.run(command, cwd=released.folder, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_it_holds_all_that_an_enclave_needs(released: Released) -> None:
    folder = released.folder
    assert {path.name for path in (folder / "tools").iterdir()} == {"courier", "uds", "zarf"}
    assert len(list((folder / "packages").glob("zarf-package-cowabungaai-*.tar.zst"))) == len(RELEASED)
    assert released.bundle.name == "uds-bundle-cowabungaai-dev-amd64-1.2.3.tar.zst"
    assert (folder / "bundles/dev-uds-config.yaml").is_file()
    assert {path.name for path in (folder / "sbom").iterdir()} == {
        f"{service}.{form}" for service in RELEASED for form in ("spdx.json", "cdx.json")
    }
    proof = json.loads((folder / "airgap/proof.json").read_text())
    assert proof["passed"] is True
    assert proof["bundle"]["file"] == released.bundle.name
    report = json.loads((folder / "report/release-report.json").read_text())
    assert report["state"] == "passed"
    assert {stage["name"]: stage["state"] for stage in report["whole"]} == dict.fromkeys(WHOLE, "passed")
    assert {one["service"] for one in report["packages"]} == set(RELEASED)
    assert (folder / "attachments/published.json").read_text() == ATTACHED
    for page in ("index.html", "scan-source/index.html", "report/index.html", "scan/index.html", "airgap/index.html"):
        text = (folder / page).read_text()
        assert 'src="http' not in text, "pages open without a network"
    index = (folder / "index.html").read_text()
    assert all(str(path.relative_to(folder)) in index for path in (folder / "packages").iterdir())


def test_provenance_names_the_archive_of_every_debian_package(released: Released) -> None:
    for service in RELEASED:
        (file,) = (released.folder / "provenance").glob(f"zarf-package-cowabungaai-{service}-*")
        inputs = statement(file)["predicate"]["buildDefinition"]["resolvedDependencies"]
        named = {one["name"].removeprefix("deb:") for one in inputs if one["name"].startswith("deb:")}
        bill = json.loads((released.folder / "sbom" / f"{service}.cdx.json").read_text())
        shipped = {
            f"{one['name']}@{one['version']}"
            for one in bill["components"]
            if one.get("purl", "").startswith("pkg:deb/debian/")
        }
        assert named == shipped
        assert {len(one["digest"]["sha256"]) for one in inputs if one["name"].startswith("deb:")} == {64}


def test_a_list_of_files_becomes_the_folder_again_as_the_document_says(
    dagger: Run, released: Released, tmp_path: Path
) -> None:
    finished = dagger("call", "release-assets", "--files", released.folder, "export", "--path", tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert all(path.is_file() for path in tmp_path.iterdir())
    document = (CHECKOUT / "docs/verifying.md").read_text()
    _, _, told = document.partition("    gh release download TAG && ")
    script = told.partition("\n\n")[0].replace("cosign.pub", str(released.public))
    subprocess.run(["sh", "-euxc", script], cwd=tmp_path, check=True)
    left = {path.name for path in tmp_path.iterdir() if not path.name.endswith(".provenance.sigstore.json")}
    assert left == {"dist", "release.tar.gz"}


def test_a_link_among_the_attachments_is_told_before_anything_is_done(dagger: Run, tmp_path: Path) -> None:
    (tmp_path / "attached").mkdir()
    (tmp_path / "attached" / "report").symlink_to("elsewhere")
    (tmp_path / "key").write_text("never read")
    call = ("call", "release", "--key", f"file:{tmp_path}/key", "--attachments", tmp_path / "attached")
    finished = dagger(*call, "--db", CHECKOUT / "README.md", "export", "--path", tmp_path / "dist")
    assert finished.returncode != 0
    assert "--attachments: expected files and folders, got ./report" in finished.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--sha", "0123456"), "--sha: expected all 40 digits of a commit"),
        (("--services", "whisper"), "a release is asked before it leaves, for which it needs the gateway, api"),
        (("--services", "api"), "and a service that serves models"),
        (("--services", "repeater,api", "--bundle", "dev"), "the private key is no PEM file"),
    ],
)
def test_what_would_fail_in_the_end_is_told_in_the_beginning(
    dagger: Run, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    (tmp_path / "key").write_text("no key")
    call = ("call", "release", "--key", f"file:{tmp_path}/key", "--db", CHECKOUT / "README.md", *options)
    finished = dagger(*call, "export", "--path", tmp_path / "dist")
    assert finished.returncode != 0
    assert message in finished.stderr
    assert not re.search(r"\bbuild (api|repeater|whisper)\b", finished.stderr), "no image was begun"


def test_key_and_password_are_nowhere(released: Released) -> None:
    (line, *_) = [line for line in released.private.read_text().splitlines() if not line.startswith("-----")]
    for secret in (released.password, line):
        assert shown(secret, released.told, released.folder) == []


def test_one_flipped_bit_is_found(released: Released, tmp_path: Path) -> None:
    (tmp_path / "bundles").mkdir()
    shutil.copytree(released.folder / "provenance", tmp_path / "provenance")
    copy = Path(shutil.copy(released.bundle, tmp_path / "bundles"))

    def verified() -> int:
        command: list[str | Path] = [released.folder / "tools/courier", "verify", copy, "--key", released.public]
        return subprocess.run(command, capture_output=True, text=True, check=False).returncode

    assert verified() == 0
    damaged = bytearray(copy.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    copy.write_bytes(damaged)
    assert verified() == 12
