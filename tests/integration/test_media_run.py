# SPDX-License-Identifier: Apache-2.0
"""Split, join, diff and apply through the launcher, on what the real zarf and uds make."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from harness import Run

from cowabunga import gotools
from shared.archives import oci_archive, tar_of, uds_bundle, zarf_package

PACKAGES = "usr/lib/python3/dist-packages"
WEIGHTS = 200_000_000
MODEL = "ghcr.io/cowabungaai/models/tiny:sha256-0123456789ab"
MISSING, DAMAGED, WRONG_OLD, EXISTS = 40, 41, 43, 44


@dataclass(frozen=True)
class Version:
    """One version of a service's package, with 200 MB of weights, and of a bundle of it and another package."""

    package: Path
    bundle: Path


@pytest.fixture(scope="module")
def tools(dagger: Run, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The real zarf and uds, from the pipeline."""
    folder, found = tmp_path_factory.mktemp("tools"), {}
    for name in ("zarf", "uds"):
        found[name] = folder / name
        finished = dagger("call", "tool", "--name", name, "export", "--path", found[name])
        assert finished.returncode == 0, finished.stderr
        found[name].chmod(0o755)
    return found


@pytest.fixture(scope="module")
def versions(tools: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Version]:
    """Two versions that differ in one line of one file in an image."""
    folder = tmp_path_factory.mktemp("versions")
    dice = random.Random(1)  # noqa: S311 - bytes of layers
    base = tar_of({"usr/lib/libbase.so": dice.randbytes(5_000_000)})
    helper = tar_of({"helper": dice.randbytes(1_000_000)})
    data = dice.randbytes(300_000)
    weights = tar_of({"model/weights.bin": dice.randbytes(WEIGHTS)})
    labels = {"ai.cowabunga.model.id": "tiny", "ai.cowabunga.model.digest": f"sha256:{'ab' * 32}"}
    oci_archive(folder / "model.tar", MODEL, [weights], labels)
    oci_archive(folder / "helper.tar", "ghcr.io/cowabungaai/helper:1.0.0", [helper])
    found = {}
    for version in ("1.0.0", "1.0.1"):
        about = f"Metadata-Version: 2.1\nName: app\nVersion: {version}\n".encode()
        code = {"app/main.py": f"print({version!r})\n".encode(), f"{PACKAGES}/app-{version}.dist-info/METADATA": about}
        reference = f"ghcr.io/cowabungaai/app:{version}"
        oci_archive(folder / f"app-{version}.tar", reference, [base, tar_of({**code, "app/data": data})])
        images = {reference: folder / f"app-{version}.tar", MODEL: folder / "model.tar"}
        package = zarf_package(tools["zarf"], folder / version / "app", "app", version, images)
        other = {"ghcr.io/cowabungaai/helper:1.0.0": folder / "helper.tar"}
        helping = zarf_package(tools["zarf"], folder / version / "helper", "helper", version, other)
        bundle = uds_bundle(
            tools["uds"], folder / version / "bundle", "both", version, {"helper": helping, "app": package}
        )
        found[version] = Version(package, bundle)
    return found


def sha256(path: Path) -> str:
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def told(cowabunga: Run, *arguments: str | Path) -> dict[str, Any]:
    """What a command prints as JSON."""
    finished = cowabunga(*arguments, "--json")
    assert finished.returncode == 0, finished.stderr
    found: dict[str, Any] = json.loads(finished.stdout)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["package", "bundle"])
def test_a_service_update_is_small_and_comes_out_byte_for_byte(
    cowabunga: Run, versions: dict[str, Version], tmp_path: Path, kind: str
) -> None:
    old, new = (getattr(versions[version], kind) for version in ("1.0.0", "1.0.1"))
    delta, result = tmp_path / "update.delta", tmp_path / "result.tar.zst"
    made = told(cowabunga, "diff", old, new, "--differential", delta)
    assert new.stat().st_size > WEIGHTS
    assert delta.stat().st_size < 1_000_000
    assert (made["repacked"], made["as_is"]) == (1, [])
    # In a bundle blobs are sorted by digest: what changed is elsewhere. Weights must not wait on the disk.
    assert made["aside"] < 2_000_000
    applied = told(cowabunga, "apply", old, delta, "--output", result)
    assert applied["sha256"] == sha256(new) == sha256(result)
    assert cowabunga("apply", old, delta, "--output", result).returncode == EXISTS
    assert cowabunga("apply", new, delta, "--output", tmp_path / "x").returncode == WRONG_OLD
    assert not (tmp_path / "x").exists()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["package", "bundle"])
def test_what_changed_is_told(cowabunga: Run, versions: dict[str, Version], kind: str) -> None:
    old, new = (getattr(versions[version], kind) for version in ("1.0.0", "1.0.1"))
    report = told(cowabunga, "diff", old, new)
    changed = {change["name"]: (change["old"], change["new"]) for change in report["packages"]}
    assert changed["app amd64"] == ("1.0.0", "1.0.1")
    assert [image["new"]["reference"] for image in report["images"]] == ["ghcr.io/cowabungaai/app:1.0.1"]
    assert report["models"] == report["notes"] == []
    software = [(change["image"], change["name"], change["old"], change["new"]) for change in report["components"]]
    assert software == [("app", "app", "1.0.0", "1.0.1")]
    assert report["blobs"]["shared_size"] > WEIGHTS
    assert report["blobs"]["new_size"] < 2_000_000
    shown = cowabunga("diff", old, new)
    assert "1.0.0 -> 1.0.1" in shown.stdout


@pytest.mark.slow
def test_a_release_folder_travels_on_media_and_as_a_delta(
    cowabunga: Run, versions: dict[str, Version], tmp_path: Path
) -> None:
    for version, found in versions.items():
        for kind, file in (("packages", found.package), ("bundles", found.bundle)):
            (tmp_path / version / kind).mkdir(parents=True)
            os.link(file, tmp_path / version / kind / file.name)
        (tmp_path / version / "index.html").write_text(f"<h1>{version}</h1>")
    old, new = tmp_path / "1.0.0", tmp_path / "1.0.1"
    delta = tmp_path / "update.delta"
    made = told(cowabunga, "diff", old, new, "--differential", delta)
    assert (made["files"], made["repacked"]) == (3, 2)
    assert made["aside"] < 2_000_000
    assert delta.stat().st_size < 1_000_000
    told(cowabunga, "apply", old, delta, "--output", tmp_path / "applied")
    media = tmp_path / "media"
    split = told(cowabunga, "split", tmp_path / "applied", "--size", "150MB", "--output", media)
    assert split["media"] == 3
    told(cowabunga, "join", *sorted(media.iterdir(), reverse=True), "--output", tmp_path / "joined")
    subprocess.run(["diff", "-r", new, tmp_path / "joined"], check=True)


def test_a_damaged_and_a_missing_part_are_told_by_codes(cowabunga: Run, tmp_path: Path) -> None:
    source = tmp_path / "bundle.tar.zst"
    source.write_bytes(random.Random(1).randbytes(1_000_000))  # noqa: S311 - bytes of a file
    told(cowabunga, "split", source, "--size", "400kB", "--output", tmp_path / "media")
    second = tmp_path / "media/medium-02"
    part = next(second.glob("*.part-*"))
    whole = part.read_bytes()
    part.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    finished = cowabunga("join", tmp_path / "media", "--output", tmp_path / "joined")
    assert (finished.returncode, str(part) in finished.stderr) == (DAMAGED, True)
    second.rename(tmp_path / "elsewhere")
    finished = cowabunga("join", tmp_path / "media", "--output", tmp_path / "joined")
    assert (finished.returncode, "of medium 2 of 3" in finished.stderr) == (MISSING, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle.tar.zst", "elsewhere", "media"]
    (tmp_path / "elsewhere" / part.name).write_bytes(whole)
    told(cowabunga, "join", tmp_path / "elsewhere", tmp_path / "media", "--output", tmp_path / "joined")
    assert sha256(tmp_path / "joined") == sha256(source)


def test_an_interrupted_apply_leaves_nothing(tmp_path: Path) -> None:
    program = gotools.ensure("courier") / "courier"
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(b"")
    new.write_bytes(random.Random(1).randbytes(150_000_000))  # noqa: S311 - bytes of a file
    out = tmp_path / "out"
    subprocess.run([program, "diff", old, new, "--differential", tmp_path / "d"], check=True, capture_output=True)
    with subprocess.Popen([program, "apply", old, tmp_path / "d", "--output", out / "new"]) as running:
        while not (out.exists() and list(out.iterdir())) and running.poll() is None:
            pass
        running.terminate()
    assert (running.returncode, list(out.iterdir())) == (130, [])
