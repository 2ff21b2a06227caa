# SPDX-License-Identifier: Apache-2.0
"""The same files give the same bytes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from cowabunga import oci

FILES = {"etc/b": (b"b", 0o644), "etc/a/x": (b"x", 0o755)}


def image(folder: Path) -> str:
    """Write a small image; its digest."""
    folder.mkdir()
    oci.tar_of(FILES, folder / "layer.tar")
    return oci.write_image(folder, [oci.add_layer(folder, folder / "layer.tar")], {"Cmd": ["x"]})


def test_digest_depends_on_content_alone(tmp_path: Path) -> None:
    assert image(tmp_path / "one") == image(tmp_path / "two")


def test_every_blob_has_the_name_of_its_content(tmp_path: Path) -> None:
    image(tmp_path / "one")
    blobs = list((tmp_path / "one" / "blobs" / "sha256").iterdir())
    assert len(blobs) == 3
    assert all(hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name for blob in blobs)


def test_index_points_to_the_manifest(tmp_path: Path) -> None:
    digest = image(tmp_path / "one")
    assert oci.manifest_digest(tmp_path / "one") == digest
    manifest = json.loads(oci.blob(tmp_path / "one", digest).read_bytes())
    assert [layer["mediaType"] for layer in manifest["layers"]] == [oci.LAYER_TYPE]
