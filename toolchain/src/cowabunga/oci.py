# SPDX-License-Identifier: Apache-2.0
"""Writes OCI image layouts: layers as zstd, configuration and manifest, the same bytes for the same files."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import zstandard

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+zstd"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
COMPRESSION_LEVEL = 9
CHUNK = 1 << 20


@dataclass(frozen=True)
class Layer:
    """A layer in a layout: its blob's digest and size in bytes, and the digest of the uncompressed tar."""

    digest: str
    size: int
    diff_id: str


def architecture() -> str:
    """This machine's architecture in OCI's terms."""
    machine = platform.machine()
    return ARCHITECTURES.get(machine, machine)


def add_layer(layout: Path, tar: Path) -> Layer:
    """Compress a tar file into a layout's blobs.

    Args:
        layout: The layout's root.
        tar: An uncompressed layer.
    """
    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    staged = blobs / f"{tar.name}.staged"
    plain, packed = hashlib.sha256(), hashlib.sha256()
    # One thread: the frame's bytes then depend on the input and the library's version alone.
    compressor = zstandard.ZstdCompressor(level=COMPRESSION_LEVEL).compressobj()
    with tar.open("rb") as source, staged.open("wb") as sink:
        while chunk := source.read(CHUNK):
            plain.update(chunk)
            data = compressor.compress(chunk)
            packed.update(data)
            sink.write(data)
        data = compressor.flush()
        packed.update(data)
        sink.write(data)
    size = staged.stat().st_size
    staged.rename(blobs / packed.hexdigest())
    return Layer(f"sha256:{packed.hexdigest()}", size, f"sha256:{plain.hexdigest()}")


def tar_of(files: Mapping[str, tuple[bytes, int]], target: Path) -> None:
    """Write a tar of a few files, the same bytes for the same input.

    Args:
        files: Path in the image → content and mode.
        target: The tar file.
    """
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as archive:
        seen: set[str] = set()
        for name, (content, mode) in sorted(files.items()):
            for parent in reversed(Path(name).parents):
                if str(parent) in (".", *seen):
                    continue
                seen.add(str(parent))
                directory = tarfile.TarInfo(str(parent))
                directory.type, directory.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(directory)
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), mode
            archive.addfile(info, io.BytesIO(content))


def write_image(layout: Path, layers: Sequence[Layer], config: Mapping[str, object]) -> str:
    """Write configuration, manifest and index of an image whose layers are in the layout.

    Args:
        layout: The layout's root.
        layers: From the bottom up.
        config: OCI's `config` object: Env, Cmd and so on.

    Returns:
        The manifest's digest.
    """
    configuration = {
        "architecture": architecture(),
        "os": "linux",
        "config": dict(config),
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
    }
    config_digest, config_size = add_blob(layout, json.dumps(configuration, sort_keys=True).encode())
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": CONFIG_TYPE, "digest": config_digest, "size": config_size},
        "layers": [{"mediaType": LAYER_TYPE, "digest": layer.digest, "size": layer.size} for layer in layers],
    }
    digest, size = add_blob(layout, json.dumps(manifest, sort_keys=True).encode())
    index = {
        "schemaVersion": 2,
        "manifests": [{"mediaType": MANIFEST_TYPE, "digest": digest, "size": size}],
    }
    (layout / "index.json").write_text(json.dumps(index))
    (layout / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    return digest


def add_blob(layout: Path, content: bytes) -> tuple[str, int]:
    """Write a blob; its digest and size in bytes."""
    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(content).hexdigest()
    (blobs / digest).write_bytes(content)
    return f"sha256:{digest}", len(content)


def manifest_digest(layout: Path) -> str:
    """Digest of the one manifest of a layout."""
    digest: str = json.loads((layout / "index.json").read_text())["manifests"][0]["digest"]
    return digest


def blob(layout: Path, digest: str) -> Path:
    """File of a blob in a layout."""
    return layout / "blobs" / "sha256" / digest.removeprefix("sha256:")
