# SPDX-License-Identifier: Apache-2.0
"""`courier verify` on a release folder as the module signs it, and on bundles by the real uds."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml
from harness import Run

from cowabunga import gotools
from cowabungaai.provenance import SUFFIX
from shared.registries import running_registry
from shared.shipped import Key, Workshop, image, packed, unpacked

SERVICES = ("demo", "other")


@dataclass(frozen=True)
class Release:
    """A release folder, and who signed it."""

    workshop: Workshop
    uds: Path
    key: Key
    folder: Path

    @property
    def packages(self) -> list[Path]:
        """The packages, by name."""
        return sorted((self.folder / "packages").iterdir())

    @property
    def bundle(self) -> Path:
        """The bundle."""
        (found,) = (self.folder / "bundles").iterdir()
        return found

    def seal(self) -> None:
        """Write and sign the checksums."""
        courier = self.workshop.courier
        self.workshop.run(courier, "checksums", self.folder)
        self.workshop.run(courier, "sign", self.folder / "checksums.txt", "--key", self.key.private)

    def verify(self, target: str | Path | None = None, *options: str | Path) -> tuple[int, str]:
        """The exit code, and all that is printed."""
        arguments = ("verify", target or self.folder, "--key", self.key.public, *options)
        finished = self.workshop.run(self.workshop.courier, *arguments, code=None)
        return finished.returncode, finished.stdout + finished.stderr


@pytest.fixture(scope="session")
def made(dagger: Run, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Two packages, a bundle of them, provenance, checksums, a page."""
    folder = tmp_path_factory.mktemp("release")
    tools = {}
    for name in ("zarf", "uds"):
        tools[name] = folder / name
        finished = dagger("call", "tool", "--name", name, "export", "--path", tools[name])
        assert finished.returncode == 0, finished.stderr
    workshop = Workshop(tools["zarf"], gotools.ensure("courier") / "courier")
    key = workshop.key(folder / "key")
    release = folder / "dist"
    (release / "packages").mkdir(parents=True)
    listed = []
    for name in SERVICES:
        reference = f"ghcr.io/cowabungaai/{name}:0.1.0"
        content = image(reference, {"app/main.py": name.encode() * 100})
        file = workshop.package(folder / name, {reference: content}, key=key, name=f"cowabungaai-{name}")
        place = Path(shutil.move(file, release / "packages" / file.name))
        # UDS takes a signed package only with its key, and checks it again where the bundle is deployed.
        public = {"publicKey": key.public.read_text()}
        listed.append({"name": f"cowabungaai-{name}", "path": str(place.parent), "ref": "0.1.0", **public})
    about = {"name": "cowabungaai-dev", "version": "0.1.0", "architecture": "amd64", "description": "for tests"}
    described = {"kind": "UDSBundle", "metadata": about, "packages": listed}
    (folder / "bundle").mkdir()
    (folder / "bundle/uds-bundle.yaml").write_text(yaml.safe_dump(described))
    (release / "bundles").mkdir()
    creating = ("create", folder / "bundle", "--confirm", "--no-progress", "-a", "amd64", "-o", release / "bundles")
    # UDS takes the key and keeps no signature: what signs a bundle is its provenance.
    signing = ("--signing-key", key.private, "--signing-key-password", "of-these-tests")
    workshop.run(tools["uds"], *creating, *signing)
    for file in (*(release / "packages").iterdir(), *(release / "bundles").iterdir()):
        workshop.attest(file, key)
    (release / "INSTALL.md").write_text("# Installing\n")
    shutil.copy(key.public, release / "cosign.pub")
    signed = Release(workshop, tools["uds"], key, release)
    signed.seal()
    return signed


@pytest.fixture
def release(made: Release, tmp_path: Path) -> Release:
    """A copy of the release, to be changed."""
    copy = tmp_path / "dist"
    shutil.copytree(made.folder, copy)
    return replace(made, folder=copy)


def test_a_release_passes_whole_and_in_its_parts(release: Release) -> None:
    code, printed = release.verify()
    assert (code, printed.count("✗")) == (0, 0), printed
    code, printed = release.verify(None, "--json")
    told = json.loads(printed)
    assert [part["kind"] for part in told["parts"]] == ["UDS bundle", "Zarf package", "Zarf package"]
    for part in (*release.packages, release.bundle):
        code, printed = release.verify(part)
        assert code == 0, printed


def test_sha256sum_reads_the_checksums(release: Release) -> None:
    subprocess.run(["sha256sum", "--check", "--strict", "checksums.txt"], cwd=release.folder, check=True)


def append(name: str, text: bytes) -> Callable[[Release], None]:
    def change(release: Release) -> None:
        with (release.folder / name).open("ab") as file:
            file.write(text)

    return change


def remove(name: str) -> Callable[[Release], None]:
    def change(release: Release) -> None:
        (release.folder / name).unlink()

    return change


def flip_checksum(release: Release) -> None:
    """Change one digit of the line of INSTALL.md, which itself stays as it is."""
    file = release.folder / "checksums.txt"
    lines = [line for line in file.read_text().splitlines(keepends=True) if line.endswith("  INSTALL.md\n")]
    file.write_text(file.read_text().replace(lines[0], ("1" if lines[0][0] == "0" else "0") + lines[0][1:]))


def exchange(release: Release) -> None:
    """Give two packages each other's name."""
    one, two = release.packages
    one.rename(release.folder / "aside")
    two.rename(one)
    (release.folder / "aside").rename(two)


def flip_package(release: Release) -> None:
    file = release.packages[0]
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content)


def cut_bundle(release: Release) -> None:
    release.bundle.write_bytes(release.bundle.read_bytes()[:-500])


def without_provenance(release: Release) -> None:
    (release.folder / "provenance" / f"{release.packages[0].name}.provenance.sigstore.json").unlink()
    release.seal()


def other_package(release: Release) -> None:
    """Replace a package by one that is not signed, in everything that nobody needs a key for."""
    reference = "ghcr.io/cowabungaai/demo:0.1.0"
    folder = release.folder.parent / "other"
    file = release.workshop.package(folder, {reference: image(reference, {"a": b"other"})}, key=None)
    shutil.copy(file, release.packages[0])


@pytest.mark.parametrize(
    ("code", "told", "change"),
    [
        (12, "INSTALL.md", append("INSTALL.md", b".")),
        (12, "cosign.pub", append("cosign.pub", b"\n")),
        (23, "more.txt: checksums.txt does not list it", append("more.txt", b"more")),
        (23, "INSTALL.md: it is missing", remove("INSTALL.md")),
        (13, "nothing signs checksums.txt", remove("checksums.txt.sigstore.json")),
        (13, "which everything is signed by", remove("checksums.txt")),
        (15, "checksums.txt was changed", append("checksums.txt", b"1" * 64 + b"  packages/none.tar.zst\n")),
        (15, "not compared with the files", flip_checksum),
        (18, "its name is", exchange),
        (12, "zarf-package", flip_package),
        (11, "ends too early", cut_bundle),
        (20, "it has no provenance", without_provenance),
        (16, "the provenance says", other_package),
    ],
)
def test_every_change_of_a_release_is_told(
    release: Release, code: int, told: str, change: Callable[[Release], None]
) -> None:
    change(release)
    found, printed = release.verify()
    assert found == code, printed
    assert told in printed


def test_a_package_that_differs_is_not_counted_among_the_files(release: Release) -> None:
    flip_package(release)
    _, printed = release.verify()
    counted = re.search(r"(\d+) of (\d+) files", printed)
    assert counted, printed
    assert int(counted[1]) == int(counted[2]) - 1


def test_another_key_passes_no_signature(release: Release, tmp_path: Path) -> None:
    stranger = release.workshop.key(tmp_path / "stranger")
    verify = ("verify", release.folder, "--key", stranger.public, "--json")
    finished = release.workshop.run(release.workshop.courier, *verify, code=14)
    told = json.loads(finished.stdout)
    signatures = [check for one in (told, *told["parts"]) for check in one["checks"] if check["check"] == "signature"]
    assert len(signatures) >= 2
    assert not [check for check in signatures if check["passed"]], finished.stdout


def test_a_release_is_compared_with_itself(release: Release) -> None:
    finished = release.workshop.run(release.workshop.courier, "diff", release.folder, release.folder, "--json")
    assert not json.loads(finished.stdout)["packages"]


def test_a_bundle_alone_needs_its_provenance_which_signs_it(release: Release, tmp_path: Path) -> None:
    alone = Path(shutil.copy(release.bundle, tmp_path))
    code, printed = release.verify(alone)
    assert (code, "it has no signature" in printed) == (13, True)
    contents = unpacked(alone)
    for name, content in contents.items():
        (file := tmp_path / "unpacked/bundle" / name).parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    code, printed = release.verify(tmp_path / "unpacked/bundle")
    assert (code, "it has no signature" in printed) == (13, True), printed
    assert not any(b"uds-bundle.yaml.sig" in content for content in contents.values()), "UDS keeps one now"


def test_a_bundle_in_a_registry_needs_its_provenance_likewise(release: Release, tmp_path: Path) -> None:
    signed = release.folder / "provenance" / f"{release.bundle.name}{SUFFIX}"
    with running_registry(gotools.ensure("registry") / "registry", tmp_path / "registry") as registry:
        place = f"oci://{registry.host}/bundles"
        release.workshop.run(release.uds, "publish", release.bundle, place, "--insecure", "--no-progress")
        reference = f"{place}/cowabungaai-dev:0.1.0"
        code, printed = release.verify(reference, "--plain-http")
        assert (code, "it has no signature" in printed) == (13, True), printed
        code, printed = release.verify(reference, "--plain-http", "--provenance", signed)
        assert (code, printed.count("Zarf package")) == (0, len(SERVICES)), printed
        largest = max((tmp_path / "registry").rglob("data"), key=lambda file: file.stat().st_size)
        largest.write_bytes(b"x" + largest.read_bytes()[1:])
        code, printed = release.verify(reference, "--plain-http", "--provenance", signed)
        assert (code, "its SHA-256 is" in printed) == (12, True), printed


def blob_with(files: dict[str, bytes], text: bytes) -> str:
    (name,) = [name for name, content in files.items() if name.startswith("blobs/") and text in content[:2000]]
    return name


def test_changes_inside_a_bundle_are_told(release: Release) -> None:
    whole = unpacked(release.bundle)
    definition = blob_with(whole, b"kind: UDSBundle")
    largest = max((name for name in whole if name.startswith("blobs/")), key=lambda name: len(whole[name]))
    more = f"blobs/sha256/{hashlib.sha256(b'more').hexdigest()}"
    for code, told, files in (
        (12, "its SHA-256 is", {**whole, largest: b"x" + whole[largest][1:]}),
        (23, "nothing in the bundle refers to it", {**whole, more: b"more"}),
        (19, "sboms.tar: it is missing", {name: content for name, content in whole.items() if name != largest}),
        (12, "its SHA-256 is", {**whole, definition: whole[definition].replace(b"for tests", b"for nobody")}),
        (10, "names 0 manifests", {**whole, "index.json": b'{"manifests": []}'}),
    ):
        packed(release.bundle, files)
        found, printed = release.verify(release.bundle)
        assert (found, told in printed) == (code, True), printed


def test_a_bundle_of_packages_that_nobody_signed_is_told(made: Release, dagger: Run, tmp_path: Path) -> None:
    reference = "ghcr.io/cowabungaai/demo:0.1.0"
    package = made.workshop.package(tmp_path / "p", {reference: image(reference, {"a": b"a"})}, key=None)
    listed = [{"name": "cowabungaai-demo", "path": str(package.parent), "ref": "0.1.0"}]
    about = {"name": "cowabungaai-dev", "version": "0.1.0", "architecture": "amd64"}
    (tmp_path / "uds-bundle.yaml").write_text(
        yaml.safe_dump({"kind": "UDSBundle", "metadata": about, "packages": listed})
    )
    out = tmp_path / "bundles"
    made.workshop.run(made.uds, "create", tmp_path, "--confirm", "--no-progress", "-a", "amd64", "-o", out)
    (bundle,) = out.iterdir()
    made.workshop.attest(bundle, made.key)
    code, printed = made.verify(bundle)
    assert (code, "it has no signature; expected one by key" in printed) == (13, True), printed
