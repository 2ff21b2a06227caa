# SPDX-License-Identifier: Apache-2.0
"""The main job: build-all gives archives and a report that are what they say."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard
from harness import CPU_SERVICES, SERVICES, Built, Run, described

# The time that the module gives every file: 2025-08-09.
SOURCE_DATE_EPOCH = 1754697600
COMPILED = [name for name in CPU_SERVICES if described(name).get("compiled")]
FORBIDDEN_PROGRAMS = {
    "sh",
    "bash",
    "dash",
    "busybox",
    "apt",
    "apt-get",
    "dpkg",
    "pip",
    "pip3",
    "uv",
    "gcc",
    "cc",
    "g++",
    "ld",
    "make",
    "perl",
    "curl",
    "wget",
}


def documents(archive: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Index, manifest and configuration of an OCI archive."""
    with tarfile.open(archive) as tar:

        def read(name: str) -> dict[str, Any]:
            member = tar.extractfile(name)
            assert member is not None
            loaded: dict[str, Any] = json.load(member)
            return loaded

        index = read("index.json")
        manifest = read(f"blobs/sha256/{index['manifests'][0]['digest'].removeprefix('sha256:')}")
        return index, manifest, read(f"blobs/sha256/{manifest['config']['digest'].removeprefix('sha256:')}")


def files(archive: Path) -> set[str]:
    """Paths of all files in an image's layers."""
    return set(entries(archive))


def entries(archive: Path) -> dict[str, tarfile.TarInfo]:
    """All files in an image's layers by their paths, as the last layer that has them says."""
    return {entry.name.removeprefix("./").rstrip("/"): entry for layer in layers(archive) for entry in layer}


def layers(archive: Path) -> Iterator[tarfile.TarFile]:
    """An image's layers, each to be read once, in order."""
    _, manifest, _ = documents(archive)
    with tarfile.open(archive) as tar:
        for layer in manifest["layers"]:
            member = tar.extractfile(f"blobs/sha256/{layer['digest'].removeprefix('sha256:')}")
            assert member is not None
            with (
                zstandard.ZstdDecompressor().stream_reader(member) as plain,
                tarfile.open(fileobj=plain, mode="r|") as inner,
            ):
                yield inner


def test_every_service_has_an_archive_and_a_line(built: Built) -> None:
    assert [row["service"] for row in built.report["services"]] == CPU_SERVICES
    assert sorted(path.stem for path in (built.folder / "images").iterdir()) == CPU_SERVICES


def test_what_has_another_flavor_is_named_with_the_reason(built: Built) -> None:
    left_out = {row["service"]: row["reason"] for row in built.report["left_out"]}
    assert left_out == {name: "it has the flavor gpu alone" for name in SERVICES if name not in CPU_SERVICES}


def test_what_is_asked_for_by_name_must_be_built(cowabunga: Run, tmp_path: Path) -> None:
    refused = cowabunga("build-all", "vllm", "--output", tmp_path)
    assert (refused.returncode, "service 'vllm' has no flavor 'cpu'; it has: gpu" in refused.stderr) == (2, True)


@pytest.mark.parametrize("service", CPU_SERVICES)
def test_the_report_says_what_the_archive_holds(built: Built, service: str) -> None:
    index, manifest, _ = documents(built.archive(service))
    row = built.row(service)
    assert row["digest"] == index["manifests"][0]["digest"]
    assert row["size"] == built.archive(service).stat().st_size
    assert row["layers"] == len(manifest["layers"])


@pytest.mark.parametrize("service", CPU_SERVICES)
def test_the_image_runs_as_nobody_by_an_entry_point_in_exec_form(built: Built, service: str) -> None:
    _, _, config = documents(built.archive(service))
    assert config["config"]["User"] == "65532:65532"
    assert config["config"]["Entrypoint"][0] == "python3"
    assert not config["config"].get("Cmd")


@pytest.mark.parametrize("service", CPU_SERVICES)
def test_the_image_holds_no_shell_pip_compiler_or_package_manager(built: Built, service: str) -> None:
    names = files(built.archive(service))
    programs = {Path(name).name for name in names if Path(name).parent.name in ("bin", "sbin")}
    assert not programs & FORBIDDEN_PROGRAMS
    assert not [name for name in names if "/pip/" in name or "/ensurepip/" in name]


@pytest.mark.parametrize("service", CPU_SERVICES)
def test_what_the_service_writes_into_is_its_own_and_nobody_elses(built: Built, service: str) -> None:
    found = entries(built.archive(service))
    for path in described(service).get("writable", ()):
        entry = found[path.removeprefix("/")]
        assert (entry.uid, entry.gid, entry.mode) == (65532, 65532, 0o700)
        for parent in Path(path).parents[:-1]:
            above = found[str(parent).removeprefix("/")]
            assert (above.uid, above.mode) == (0, 0o755)


@pytest.mark.parametrize("service", CPU_SERVICES)
def test_no_file_tells_when_the_image_was_built(built: Built, service: str) -> None:
    found = entries(built.archive(service))
    assert max(entry.mtime for entry in found.values()) == SOURCE_DATE_EPOCH
    assert not [name for name in found if name.endswith("uv_cache.json")]


@pytest.mark.parametrize("service", CPU_SERVICES)
def test_layers_carry_the_packages_records_for_scanners(built: Built, service: str) -> None:
    assert "var/lib/dpkg/status.d/libc6" in files(built.archive(service))


@pytest.mark.parametrize("service", COMPILED)
def test_layers_name_the_compilers_of_what_was_compiled(built: Built, service: str) -> None:
    texts = [
        member.read().decode()
        for layer in layers(built.archive(service))
        for entry in layer
        if entry.name.endswith("cowabungaai/compiled-with") and (member := layer.extractfile(entry))
    ]
    assert len(texts) == 1
    records = [dict(line.split(": ", 1) for line in text.splitlines()) for text in texts[0].strip().split("\n\n")]
    assert {"g++", "gcc-14", "binutils", "make"} <= {record["Package"] for record in records}
    for record in records:
        assert record.keys() == {"Package", "Version", "Architecture", "SHA256"}
        assert re.fullmatch("[0-9a-f]{64}", record["SHA256"])


@pytest.mark.parametrize("service", COMPILED)
def test_no_library_names_the_folder_in_which_it_was_compiled(built: Built, service: str) -> None:
    for layer in layers(built.archive(service)):
        for entry in layer:
            if entry.isreg() and ".so" in Path(entry.name).suffixes:
                member = layer.extractfile(entry)
                assert member is not None
                assert not re.search(rb"/tmp/(pip-|tmp)|/sources/", member.read()), entry.name


def test_an_unchanged_build_is_cached_and_gives_the_same_digests(built: Built, cowabunga: Run, tmp_path: Path) -> None:
    finished = cowabunga("build-all", "--output", tmp_path, "--json")
    assert finished.returncode == 0, finished.stderr
    report = json.loads(finished.stdout)
    assert [row["cached"] for row in report["services"]] == [True] * len(CPU_SERVICES)
    assert [row["digest"] for row in report["services"]] == [row["digest"] for row in built.report["services"]]


def test_only_archives_that_changed_are_sent_again(built: Built, cowabunga: Run) -> None:
    images = built.folder / "images"
    before = {file.name: file.stat().st_ino for file in images.iterdir()}
    others = built.folder / "packages"
    others.mkdir()
    damaged = images / "repeater.tar"
    content = damaged.read_bytes()
    damaged.write_bytes(content[:-1] + b"x")
    finished = cowabunga("build-all", "--output", built.folder)
    assert finished.returncode == 0, finished.stderr
    after = {file.name: file.stat().st_ino for file in images.iterdir()}
    assert {name for name in before if after[name] != before[name]} == {"repeater.tar"}
    assert damaged.read_bytes() == content
    assert sorted(path.name for path in built.folder.iterdir()) == ["build-report.json", "images", "packages"]
    others.rmdir()


@pytest.mark.usefixtures("built")
def test_progress_says_what_is_built(cowabunga: Run, tmp_path: Path) -> None:
    finished = cowabunga("build-all", "--output", tmp_path)
    assert finished.returncode == 0, finished.stderr
    shown = finished.stderr
    for service in CPU_SERVICES:
        assert f"build {service}" in shown
    assert "last time" in shown
