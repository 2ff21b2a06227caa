# SPDX-License-Identifier: Apache-2.0
"""Packages: the same bytes when they are made anew, weights as an image, and what speaks against making one."""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import tarfile
import uuid
from pathlib import Path

import pytest
import yaml
import zstandard
from harness import Run, run_program

from cowabunga import gotools, models

pytestmark = pytest.mark.slow
# What each stage of an image is made of: a comment in one makes it run anew, and changes nothing.
INPUTS = (
    "services/repeater/pyproject.toml",
    "services/repeater/requirements.lock",
    "services/sdk/pyproject.toml",
    "toolchain/images/runtime.lock",
)
BUILT = re.compile(r"^  timestamp: .*$", re.MULTILINE)


def members(package: Path) -> dict[str, bytes]:
    """The files of a package by their names; those of tar archives inside by archive/name."""
    found: dict[str, bytes] = {}
    with (
        package.open("rb") as file,
        tarfile.open(fileobj=zstandard.ZstdDecompressor().stream_reader(file), mode="r|") as tar,
    ):
        for member in tar:
            content = tar.extractfile(member)
            if content is not None:
                found[member.name] = content.read()
    return found


def change_inputs(sources: Path) -> None:
    """Make the engine build the repeater anew: with another comment each time, since it remembers earlier tests."""
    for name in INPUTS:
        with (sources / name).open("a") as file:
            file.write(f"# made anew: {uuid.uuid4()}\n")


def make(dagger: Run, target: Path, *arguments: str | Path, source: Path | None = None) -> Path:
    before = ["--source", source] if source else []
    finished = dagger("call", *before, "package", *arguments, "export", "--path", target)
    assert finished.returncode == 0, finished.stderr
    return target


def test_a_package_made_anew_has_the_same_bytes_but_for_its_build_record(
    dagger: Run, sources: Path, tmp_path: Path
) -> None:
    first = members(make(dagger, tmp_path / "1.tar.zst", "--service", "repeater", source=sources))
    change_inputs(sources)
    second = members(make(dagger, tmp_path / "2.tar.zst", "--service", "repeater", source=sources))
    assert first.keys() == second.keys(), "digests name the files of an image"
    assert {name for name in first if first[name] != second[name]} <= {"zarf.yaml"}
    assert BUILT.sub("", first["zarf.yaml"].decode()) == BUILT.sub("", second["zarf.yaml"].decode())


def test_what_another_build_made_is_compared(dagger: Run, sources: Path, tmp_path: Path) -> None:
    def call(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return dagger("call", "--source", sources, *arguments)

    reproduce = ("reproduce", "--report", tmp_path / "there/packages.json")
    export = ("export", "--path", tmp_path / "reproduction.json")
    made = call("package-all", "--services", "repeater", "export", "--path", tmp_path / "there")
    assert made.returncode == 0, made.stderr
    change_inputs(sources)
    finished = call(*reproduce, *export)
    assert finished.returncode == 0, finished.stderr
    report = json.loads((tmp_path / "reproduction.json").read_text())
    assert [(one["kind"], one["same"], one["cached"]) for one in report["artifacts"]] == [
        ("image", True, False),
        ("package", True, False),
    ]
    with (sources / "packages/repeater/chart/values.yaml").open("a") as file:
        file.write("# a chart of other sources\n")
    refused = call(*reproduce, *export)
    assert refused.returncode != 0
    assert re.search(r"image repeater: the same, sha256:[0-9a-f]{64}", refused.stderr)
    assert re.search(r"package repeater: expected sha256:[0-9a-f]{64}, got sha256:[0-9a-f]{64}", refused.stderr)
    told = call(*reproduce, "--exit-code", "0", *export)
    assert told.returncode == 0, told.stderr
    assert json.loads((tmp_path / "reproduction.json").read_text())["passed"] is False


def test_a_package_with_weights_brings_them_as_an_image_of_their_own(dagger: Run, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "weights.gguf").write_bytes(b"GGUF" + bytes(1000))
    brought = ("--model", model, "--model-id", "Mine.1", "--model-licence", "MIT")
    service = ("--service", "whisper")
    found = members(make(dagger, tmp_path / "with.tar.zst", *service, *brought))
    package = yaml.safe_load(found["zarf.yaml"])
    assert [one["name"] for one in package["components"]] == ["model", "whisper"]
    (reference,) = package["components"][0]["imageArchives"][0]["images"]
    assert reference.startswith("ghcr.io/cowabungaai/models/mine-1:sha256-")
    labels = [config["config"]["Labels"] for config in configs(found) if "config" in config]
    assert {"MIT", None} == {one.get("org.opencontainers.image.licenses") for one in labels}
    with tarfile.open(fileobj=io.BytesIO(found["documentation.tar"])) as documents:
        (name,) = [name for name in documents.getnames() if name.endswith("MODEL.md")]
        content = documents.extractfile(name)
        assert content is not None
        text = content.read().decode()
    assert "licence: MIT" in text
    assert hashlib.sha256(b"GGUF" + bytes(1000)).hexdigest() in text

    without = members(make(dagger, tmp_path / "without.tar.zst", *service, *brought, "--without-weights"))
    assert [one["name"] for one in yaml.safe_load(without["zarf.yaml"])["components"]] == ["whisper"]
    shared = {name for name in found if name.startswith("images/blobs/")} - {name for name in without}
    assert len(shared) == 4, "two layers, a manifest and a configuration: those of the weights"


def test_models_of_a_folder_take_the_place_of_the_default_ones(
    dagger: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "folder", lambda: tmp_path / "models")
    (mine := tmp_path / "mine.bin").write_bytes(bytes(1000))
    models.add(mine, "whisper", "mine", "MIT", "")
    brought = ("--models-dir", tmp_path / "models")
    call = ("call", "package-all", "--services", "whisper", "--services", "repeater", *brought)
    finished = dagger(*call, "export", "--path", tmp_path / "out")
    assert finished.returncode == 0, finished.stderr
    packages = json.loads((tmp_path / "out/packages.json").read_text())["packages"]
    told = {one["service"]: one["model"] and (one["model"]["id"], one["model"]["licence"]) for one in packages}
    assert told == {"whisper": ("mine", "MIT"), "repeater": None}

    models.add(mine, "whisper", "other", "MIT", "")
    finished = dagger("call", "bundle", "--name", "latest", "--services", "whisper", *brought)
    assert finished.returncode != 0
    assert "the folder of models has 2 for service 'whisper': mine, other; a package brings one." in finished.stderr


def configs(found: dict[str, bytes]) -> list[dict[str, dict[str, dict[str, str]]]]:
    """The configurations of a package's images."""
    documents = [content for name, content in found.items() if name.startswith("images/blobs/") and content[:1] == b"{"]
    return [document for document in map(json.loads, documents) if "rootfs" in document]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--service", "vllm", "--flavor", "gpu"), "service 'vllm' has no default model; give `package` --model"),
        (("--service", "sdk"), "service 'sdk' has no packages/sdk/zarf.yaml; those that have: api, "),
        (("--service", "repeater", "--model", "EMPTY"), "service 'repeater' serves no models; leave out --model"),
        (("--service", "whisper", "--model", "EMPTY"), "the model has no manifest.json: give its id and its licence"),
        (
            ("--service", "whisper", "--model", "EMPTY", "--model-id", "x", "--model-licence", "MIT"),
            "holds no file; expected a model's files",
        ),
    ],
)
def test_what_cannot_be_packaged_is_told(arguments: tuple[str, ...], message: str, dagger: Run, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    finished = dagger("call", "package", *(empty if word == "EMPTY" else word for word in arguments))
    assert finished.returncode != 0
    assert message in finished.stderr


def test_a_bundle_whose_service_has_no_default_model_needs_one(dagger: Run) -> None:
    finished = dagger("call", "bundle", "--name", "latest", "--variant", "gpu", "--services", "vllm")
    assert finished.returncode != 0
    assert "service 'vllm' has no default model; give `package` --model FOLDER, and others" in finished.stderr


def test_a_hardened_package_stands_on_the_image_that_is_given(dagger: Run, tmp_path: Path) -> None:
    base = ("--base", "python:3.13-slim-trixie")
    package = make(dagger, tmp_path / "hardened.tar.zst", "--service", "repeater", *base)
    found = members(package)
    definition = yaml.safe_load(found["zarf.yaml"])
    assert definition["build"]["flavor"] == "hardened"
    assert definition["components"][0]["imageArchives"][0]["images"] == ["ghcr.io/cowabungaai/repeater:0.1.0-hardened"]
    (config,) = configs(found)
    assert config["history"][0]["created_by"] == "python:3.13-slim-trixie"  # type: ignore[index]
    named = "zarf-package-{name}-amd64-{version}-hardened.tar.zst".format_map(definition["metadata"])
    courier = gotools.ensure("courier") / "courier"
    finished = run_program(str(courier), "describe", package.rename(tmp_path / named))
    assert finished.returncode == 0, finished.stderr
    described = json.loads(finished.stdout)
    assert described["debian"] == [], "what is not ours is known by the digest of what it stands on"
    (under,) = described["bases"]
    assert (under["name"].rpartition("/")[2], len(under["sha256"])) == ("python:3.13-slim-trixie", 64)


def test_a_base_without_python_is_refused(dagger: Run) -> None:
    finished = dagger("call", "package", "--service", "repeater", "--base", "debian:trixie-slim")
    assert finished.returncode != 0
    assert (
        "service repeater does not load on the base image debian:trixie-slim: it needs Python 3.13" in finished.stderr
    )
