# SPDX-License-Identifier: Apache-2.0
"""Layers and archives follow from files alone: the same bytes whenever, and in whatever order, these were written."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path

import pytest
import zstandard

from cowabungaai import read_archive, write_image, write_layer

EPOCH = 1754697600
SETTINGS = {
    "reference": "ghcr.io/cowabungaai/x:1",
    "created": "2025-08-09T00:00:00Z",
    "os": "linux",
    "architecture": "amd64",
    "config": {"User": "65532:65532"},
    "layers": ["Debian packages"],
}


def fill(root: Path, names: list[str], time: int) -> Path:
    """A tree of files, a link, a hard link and an empty folder."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
        os.utime(root / name, (time, time))
    (root / "a/program").chmod(0o755)
    (root / "link").symlink_to("a/program")
    (root / "z-hard").hardlink_to(root / "a/program")
    (root / "empty").mkdir(mode=0o700)
    return root


def layer(folder: Path, out: Path) -> dict[str, object]:
    write_layer.write_layer(folder, out, EPOCH)
    described: dict[str, object] = json.loads((out / "layer.json").read_text())
    return described


def test_the_order_and_time_of_writing_do_not_matter(tmp_path: Path) -> None:
    names = ["a/program", "a/b/one", "a-b", "ä" * 120]
    first = fill(tmp_path / "one", names, 1)
    second = fill(tmp_path / "two", list(reversed(names)), 1_900_000_000)
    assert layer(first, tmp_path / "out1") == layer(second, tmp_path / "out2")


def test_a_layer_holds_what_the_folder_holds(tmp_path: Path) -> None:
    described = layer(fill(tmp_path / "tree", ["a/program"], 1), tmp_path / "out")
    blob = (tmp_path / "out/layer.tar.zst").read_bytes()
    assert described["digest"] == f"sha256:{hashlib.sha256(blob).hexdigest()}"
    assert described["size"] == len(blob)
    plain = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(blob)).read()
    assert described["diff_id"] == f"sha256:{hashlib.sha256(plain).hexdigest()}"
    with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
        members = {member.name: member for member in archive}
        assert list(members) == ["a", "a/program", "empty", "link", "z-hard"]
        assert {member.mtime for member in members.values()} == {EPOCH}
        assert members["a/program"].mode == 0o755
        assert members["empty"].mode == 0o700
        assert members["link"].linkname == "a/program"
        assert members["z-hard"].islnk()
        content = archive.extractfile("a/program")
        assert content is not None
        assert content.read() == b"a/program"


def test_modes_of_data_do_not_matter(tmp_path: Path) -> None:
    digests = []
    for mode in (0o600, 0o755):
        tree = tmp_path / f"{mode:o}"
        tree.mkdir(mode=mode | 0o100)
        (tree / "weights").write_text("x")
        (tree / "weights").chmod(mode)
        write_layer.write_layer(tree, tmp_path / f"out{mode:o}", EPOCH, data=True)
        digests.append((tmp_path / f"out{mode:o}" / "layer.json").read_text())
    assert digests[0] == digests[1]


def test_zstds_threads_do_not_change_the_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    # More than one job of the compressor, whose size at this level is 8 MB; at level 19 the test would take minutes.
    monkeypatch.setattr(write_layer, "LEVEL", 3)
    (tree / "large").write_bytes(b"".join(hashlib.sha256(str(n).encode()).digest() for n in range(700_000)))
    digests = []
    for threads in (1, 2, 5):
        monkeypatch.setattr(os, "cpu_count", lambda threads=threads: threads)
        digests.append(layer(tree, tmp_path / f"out{threads}")["digest"])
    assert len(set(digests)) == 1


def test_every_digest_in_an_archive_is_that_of_its_blob(tmp_path: Path) -> None:
    layer(fill(tmp_path / "tree", ["a/program"], 1), tmp_path / "out")
    (tmp_path / "settings.json").write_text(json.dumps(SETTINGS))
    archives = [tmp_path / name for name in ("1.tar", "2.tar")]
    for archive in archives:
        write_image.main(str(tmp_path / "settings.json"), str(archive), str(tmp_path / "out"))
    assert archives[0].read_bytes() == archives[1].read_bytes()
    with tarfile.open(archives[0]) as opened:

        def read(name: str) -> bytes:
            content = opened.extractfile(name)
            assert content is not None
            return content.read()

        blobs = [name for name in opened.getnames() if name.startswith("blobs/sha256/")]
        assert all(hashlib.sha256(read(name)).hexdigest() == name.rpartition("/")[2] for name in blobs)
        manifest = json.loads(read(write_image.blob(json.loads(read("index.json"))["manifests"][0]["digest"])))
        assert {write_image.blob(one["digest"]) for one in (manifest["config"], *manifest["layers"])} < set(blobs)
        config = json.loads(read(write_image.blob(manifest["config"]["digest"])))
    assert config["created"] == SETTINGS["created"]
    assert config["history"] == [{"created": SETTINGS["created"], "created_by": "Debian packages"}]
    facts = read_archive.facts(archives[0], "1.tar")
    assert facts["image"] == SETTINGS["reference"]
    assert facts["layers"] == 1


def test_a_layer_that_an_image_has_twice_lies_in_its_archive_once(tmp_path: Path) -> None:
    layer(fill(tmp_path / "tree", ["a/program"], 1), tmp_path / "out")
    (tmp_path / "settings.json").write_text(json.dumps({**SETTINGS, "layers": ["one", "two"]}))
    write_image.main(
        str(tmp_path / "settings.json"), str(tmp_path / "x.tar"), str(tmp_path / "out"), str(tmp_path / "out")
    )
    with tarfile.open(tmp_path / "x.tar") as opened:
        assert len(opened.getnames()) == len(set(opened.getnames()))
