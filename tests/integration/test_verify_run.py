# SPDX-License-Identifier: Apache-2.0
"""`./cowabunga verify` on packages by the real zarf: what is whole passes, and every fault has its own exit code."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness import CHECKOUT, Run

from cowabunga import gotools
from cowabungaai.provenance import SUFFIX, Digested
from shared.registries import running_registry
from shared.shipped import PASSWORD, Key, Workshop, image, model_image, packed, read_layout, unpacked

REFERENCE = "ghcr.io/cowabungaai/demo:0.1.0"
WEIGHTS, OTHERS = b"GGUF" + bytes(range(256)) * 50, b"GGUF" + bytes(reversed(range(256))) * 50
SERVICE = image(REFERENCE, {"app/main.py": b"print('hello')\n" * 100}, {"org.opencontainers.image.title": "demo"})
NAMED = "org.opencontainers.image.ref.name"
FLIPS, CUTS = 80, 20
Files = dict[str, bytes]


@dataclass(frozen=True)
class Shipped:
    """A signed package with its provenance, and who may have signed it."""

    workshop: Workshop
    key: Key
    other: Key
    file: Path

    def verify(self, target: Path | str, *options: str | Path, key: Key | None = None) -> tuple[int, str]:
        """The exit code, and all that is printed."""
        public = (key or self.key).public
        finished = self.workshop.run(self.workshop.courier, "verify", target, "--key", public, *options, code=None)
        return finished.returncode, finished.stdout + finished.stderr

    def with_provenance(self, folder: Path, name: str) -> Path:
        """Where a file by this name may be put, beside the provenance of the one that was shipped."""
        beside = folder / "provenance"
        beside.mkdir()
        shutil.copy(self.file.parent.parent / "provenance" / f"{self.file.name}{SUFFIX}", beside / f"{name}{SUFFIX}")
        return folder / "packages" / name


@pytest.fixture(scope="session")
def workshop(dagger: Run, tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """zarf as the engine builds it, and courier as the launcher does."""
    zarf = tmp_path_factory.mktemp("tools") / "zarf"
    finished = dagger("call", "tool", "--name", "zarf", "export", "--path", zarf)
    assert finished.returncode == 0, finished.stderr
    return Workshop(zarf, gotools.ensure("courier") / "courier")


@pytest.fixture(scope="session")
def shipped(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Shipped:
    """A package with a service's image and a model's."""
    folder = tmp_path_factory.mktemp("shipped")
    key, other = workshop.key(folder / "key"), workshop.key(folder / "other")
    file = workshop.package(folder, {REFERENCE: SERVICE, **dict([model_image(WEIGHTS)])}, key=key)
    workshop.attest(file, key)
    return Shipped(workshop, key, other, file)


def test_what_is_whole_passes_through_the_launcher(cowabunga: Run, shipped: Shipped) -> None:
    finished = cowabunga("verify", shipped.file, "--key", shipped.key.public)
    assert (finished.returncode, finished.stdout.count("✓"), finished.stdout.count("✗")) == (0, 8, 0), finished.stderr
    assert "\x1b" not in finished.stdout, "colour is for terminals"
    finished = cowabunga("verify", shipped.file, "--key", shipped.other.public, "--json")
    assert (finished.returncode, json.loads(finished.stdout)["code"]) == (14, 14)


def test_zarf_itself_accepts_what_is_signed(shipped: Shipped) -> None:
    shipped.workshop.run(shipped.workshop.zarf, "package", "verify", shipped.file, "--key", shipped.key.public)


def test_signing_a_package_later_changes_nothing_but_its_record(shipped: Shipped, tmp_path: Path) -> None:
    workshop = shipped.workshop
    plain = workshop.package(tmp_path, {REFERENCE: SERVICE}, key=None)
    signing = ("--signing-key", shipped.key.private, "--signing-key-pass", PASSWORD, "-o", tmp_path / "signed")
    workshop.run(workshop.zarf, "package", "sign", plain, *signing)
    before, after = unpacked(plain), unpacked(tmp_path / "signed" / plain.name)
    assert after.keys() - before.keys() == {"zarf.bundle.sig"}
    assert {name for name in before if before[name] != after[name]} == {"zarf.yaml"}
    old, new = (yaml.safe_load(files["zarf.yaml"]) for files in (before, after))
    assert {name for name in new if new[name] != old[name]} == {"build"}


def test_cosign_accepts_what_courier_signs(shipped: Shipped, tmp_path: Path) -> None:
    """zarf verifies by cosign's own code: `cosign verify-blob --key --bundle --insecure-ignore-tlog`."""
    run, zarf, files = shipped.workshop.run, shipped.workshop.zarf, unpacked(shipped.file)
    definition, bundle = tmp_path / "zarf.yaml", tmp_path / "zarf.yaml.sigstore.json"
    definition.write_bytes(files["zarf.yaml"])
    run(shipped.workshop.courier, "sign", definition, "--key", shipped.key.private)
    target = packed(tmp_path / shipped.file.name, {**files, "zarf.bundle.sig": bundle.read_bytes()})
    run(zarf, "package", "verify", target, "--key", shipped.key.public)
    run(zarf, "package", "verify", target, "--key", shipped.other.public, code=1)


def test_json_names_each_check(shipped: Shipped) -> None:
    finished = shipped.workshop.run(
        shipped.workshop.courier, "verify", shipped.file, "--key", shipped.key.public, "--json"
    )
    told = json.loads(finished.stdout)
    assert (told["passed"], told["code"], told["kind"]) == (True, 0, "Zarf package")
    assert {one["check"]: one["passed"] for one in told["checks"]} == dict.fromkeys(
        ("signature", "checksums", "images", "sbom", "weights", "name", "file name", "provenance"), True
    )


def blobs(files: Files) -> list[str]:
    return sorted((name for name in files if "blobs/sha256" in name), key=lambda name: len(files[name]))


def flip_blob(files: Files) -> None:
    name = blobs(files)[-1]
    files[name] = bytes([files[name][0] ^ 1]) + files[name][1:]


def swap(files: Files, reference: str, archive: bytes) -> None:
    """Put another image in the place of one, as it would look had it been there from the start."""
    entry, inside = read_layout(archive)
    index = json.loads(files["images/index.json"])
    for one in index["manifests"]:
        if one["annotations"][NAMED] == reference:
            one.update(digest=entry["digest"], size=entry["size"])
    files["images/index.json"] = json.dumps(index).encode()
    files.update({f"images/{name}": content for name, content in inside.items()})


def swap_image(files: Files) -> None:
    swap(files, REFERENCE, image(REFERENCE, {"app/main.py": b"import os\n"}))


def swap_weights(files: Files) -> None:
    swap(files, model_image(WEIGHTS)[0], model_image(OTHERS)[1])


def exchange(files: Files) -> None:
    """Give two images each other's name."""
    index = json.loads(files["images/index.json"])
    one, two = index["manifests"]
    one["annotations"], two["annotations"] = two["annotations"], one["annotations"]
    files["images/index.json"] = json.dumps(index).encode()


def drop(*names: str) -> Callable[[Files], None]:
    def change(files: Files) -> None:
        for name in names:
            del files[name]

    return change


def replace(name: str, old: bytes, new: bytes) -> Callable[[Files], None]:
    def change(files: Files) -> None:
        assert old in files[name]
        files[name] = files[name].replace(old, new)

    return change


def drop_blob(files: Files) -> None:
    del files[blobs(files)[-1]]


CHANGES: list[tuple[int, str, Callable[[Files], None]]] = [
    (12, "its SHA-256 is", flip_blob),
    (12, "sboms.tar", replace("sboms.tar", b'"0.1.0"', b'"0.1.9"')),
    (16, "which checksums.txt does not list", swap_image),
    (17, "other images", exchange),
    (17, "models/tiny", swap_weights),
    (13, "no signature", drop("zarf.bundle.sig")),
    (15, "changed after it was signed", replace("zarf.yaml", b"required: true", b"required: yes")),
    (15, "checksums.txt", replace("checksums.txt", b" sboms.tar\n", b" sboms.tar\n\n")),
    (15, "cannot be used", replace("zarf.bundle.sig", b'"mediaType"', b'"media"')),
    (18, "it calls itself", replace("zarf.yaml", b"name: cowabungaai-demo", b"name: cowabungaai-api")),
    (18, "it calls itself", replace("zarf.yaml", b"version: 0.1.0", b"version: 0.2.0")),
    (18, "the package for arm64", replace("zarf.yaml", b"  architecture: amd64", b"  architecture: arm64")),
    (19, "sboms.tar has no", drop("sboms.tar")),
    (23, "is missing", drop_blob),
    (23, "does not list it", lambda files: files.update({"components/more.tar": b"more"})),
    (10, "neither a Zarf package", drop("zarf.yaml")),
    (10, "not readable", lambda files: files.update({"zarf.yaml": b"{"})),
    (22, "no path inside a folder", lambda files: files.update({"../../escape": b"x"})),
    (22, "no path inside a folder", lambda files: files.update({"/etc/escape": b"x"})),
]


@pytest.mark.parametrize(("code", "told", "change"), CHANGES, ids=[f"{one[0]}-{one[1]}" for one in CHANGES])
def test_every_change_of_a_package_has_its_own_exit_code(
    shipped: Shipped, tmp_path: Path, code: int, told: str, change: Callable[[Files], None]
) -> None:
    files = unpacked(shipped.file)
    change(files)
    found, printed = shipped.verify(packed(shipped.with_provenance(tmp_path, shipped.file.name), files))
    assert found == code, printed
    assert told in printed


def test_another_key_and_the_files_own_faults(shipped: Shipped, tmp_path: Path) -> None:
    found, printed = shipped.verify(shipped.file, key=shipped.other)
    assert (found, "signed by another key" in printed) == (14, True)
    target = shipped.with_provenance(tmp_path, shipped.file.name)
    target.parent.mkdir()
    content = shipped.file.read_bytes()
    target.write_bytes(content[:-1000])
    found, printed = shipped.verify(target)
    assert (found, "ends too early" in printed) == (11, True)
    target.write_bytes(b"no package at all")
    assert shipped.verify(target)[0] in {10, 11}
    assert shipped.verify(tmp_path / "nothing.tar.zst")[0] == 2


def test_a_package_renamed_as_another_is_told(shipped: Shipped, tmp_path: Path) -> None:
    name = shipped.file.name.replace("demo", "api")
    target = shipped.with_provenance(tmp_path, name)
    target.parent.mkdir()
    shutil.copy(shipped.file, target)
    found, printed = shipped.verify(target)
    assert (found, "its name is zarf-package-cowabungaai-demo" in printed) == (18, True)


def test_provenance_is_needed_and_of_this_file_and_by_this_key(shipped: Shipped, tmp_path: Path) -> None:
    target = tmp_path / shipped.file.name
    shutil.copy(shipped.file, target)
    found, printed = shipped.verify(target)
    assert (found, "it has no provenance" in printed) == (20, True)
    attest = shipped.workshop.attest
    by_other = attest(target, shipped.other, tmp_path / "a")
    assert shipped.verify(target, "--provenance", by_other)[0] == 14
    model, archive = model_image(WEIGHTS)
    kept = Digested(name=model, sha256=read_layout(archive)[0]["digest"].removeprefix("sha256:"))
    for code, told, changes in (
        (21, "its provenance says", {"sha256": "1" * 64}),
        (18, "knows these bytes as", {"name": "zarf-package-cowabungaai-api-amd64-0.1.0.tar.zst"}),
        (16, "the provenance says", {"images": [Digested(name=REFERENCE, sha256="1" * 64), kept]}),
        (17, "the provenance says", {"models": [Digested(name="tiny", sha256="1" * 64)]}),
    ):
        other = attest(target, shipped.key, tmp_path / "b", **changes)
        found, printed = shipped.verify(target, "--provenance", other)
        assert (found, told in printed) == (code, True), printed
    own = attest(target, shipped.key, tmp_path / "c")
    assert shipped.verify(target, "--provenance", own)[0] == 0


@pytest.mark.parametrize(
    ("code", "images", "made"),
    [
        (19, {REFERENCE: SERVICE}, {"options": ["--skip-sbom"]}),
        (17, {REFERENCE: SERVICE, **dict([model_image(WEIGHTS, told=OTHERS)])}, {}),
        (18, {REFERENCE: SERVICE}, {"name": "cowabungaai-api"}),
        (18, {REFERENCE: SERVICE}, {"version": "0.2.0"}),
        (18, {REFERENCE: image(REFERENCE, {"a": b"a"}, architecture="arm64")}, {}),
    ],
)
def test_what_was_made_wrong_is_found_although_it_is_signed(
    shipped: Shipped,
    tmp_path: Path,
    code: int,
    images: dict[str, bytes],
    made: dict[str, Any],
) -> None:
    workshop = shipped.workshop
    file = workshop.package(tmp_path, images, key=shipped.key, **made)
    assert shipped.verify(file)[0] == code
    assert workshop.run(workshop.courier, "describe", file, code=code).stdout == "", "nothing is attested of it"


@pytest.mark.parametrize("with_provenance", [True, False])
def test_no_flipped_bit_passes_wherever_it_is(shipped: Shipped, tmp_path: Path, with_provenance: bool) -> None:
    target = tmp_path / "packages" / shipped.file.name
    if with_provenance:
        target = shipped.with_provenance(tmp_path, shipped.file.name)
    target.parent.mkdir()
    content, dice = shipped.file.read_bytes(), random.Random(7)  # noqa: S311 - the same each time
    codes = []
    for number in range(FLIPS):
        # Spread over the whole, so that the head and the end of the file are among them.
        place = len(content) * number // FLIPS + dice.randrange(len(content) // FLIPS)
        flipped = bytearray(content)
        flipped[place] ^= 1 << dice.randrange(8)
        target.write_bytes(flipped)
        codes.append(shipped.verify(target)[0])
    assert len(codes) == FLIPS
    assert not {0, 1, 2} & set(codes), codes


def test_no_truncated_file_passes(shipped: Shipped, tmp_path: Path) -> None:
    target = shipped.with_provenance(tmp_path, shipped.file.name)
    target.parent.mkdir()
    content, dice = shipped.file.read_bytes(), random.Random(8)  # noqa: S311 - the same each time
    for _ in range(CUTS):
        target.write_bytes(content[: dice.randrange(len(content))])
        assert shipped.verify(target)[0] == 11


def test_a_folder_is_checked_as_its_archive_is(shipped: Shipped, tmp_path: Path) -> None:
    target = shipped.with_provenance(tmp_path, shipped.file.name).with_suffix("")
    for name, content in unpacked(shipped.file).items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(content)
    assert shipped.verify(target)[0] == 0
    (target / "link").symlink_to("/etc/passwd")
    found, printed = shipped.verify(target)
    assert (found, "a link" in printed) == (22, True)


def test_a_registry_is_read_without_trusting_it(shipped: Shipped, tmp_path: Path) -> None:
    workshop, signed = shipped.workshop, shipped.file.parent.parent / "provenance" / f"{shipped.file.name}{SUFFIX}"
    with running_registry(gotools.ensure("registry") / "registry", tmp_path / "registry") as registry:
        place = f"oci://{registry.host}/enclave"
        workshop.run(workshop.zarf, "package", "publish", shipped.file, place, "--plain-http")
        reference = f"{place}/cowabungaai-demo:0.1.0"
        options = ("--plain-http", "--provenance", signed)
        assert shipped.verify(reference, *options) == (0, shipped.verify(reference, *options)[1])
        assert shipped.verify(reference, "--plain-http")[0] == 20
        assert shipped.verify(f"{place}/cowabungaai-demo:0.2.0", *options)[0] == 1, "nothing is there"
        largest = max((tmp_path / "registry").rglob("data"), key=lambda file: file.stat().st_size)
        content = largest.read_bytes()
        largest.write_bytes(bytes([content[0] ^ 1]) + content[1:])
        found, printed = shipped.verify(reference, *options)
        assert (found, "SHA-256" in printed) == (12, True), printed


def test_an_archive_that_unpacks_to_far_more_is_not_unpacked(shipped: Shipped, tmp_path: Path) -> None:
    target = shipped.with_provenance(tmp_path, shipped.file.name)
    packed(target, {**unpacked(shipped.file), "components/bomb.tar": bytes(200_000_000)})
    assert target.stat().st_size < 1_000_000
    found, printed = shipped.verify(target)
    assert (found, "times its size" in printed) == (22, True)


def test_help_and_documentation_have_the_same_exit_codes(shipped: Shipped) -> None:
    told = shipped.workshop.run(shipped.workshop.courier, "verify", "--help").stdout
    helped = re.findall(r"^ +(\d+)  (?:([a-z-]+): )?(.+)$", told, re.MULTILINE)
    page = (CHECKOUT / "docs/verifying.md").read_text()
    documented = re.findall(r"^\| (\d+) \| ([a-z-]*) ?\| (.+) \|$", page, re.MULTILINE)
    assert documented == helped
