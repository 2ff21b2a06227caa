# SPDX-License-Identifier: Apache-2.0
"""Small OCI archives and Zarf packages, made by hand for tests of what is done with them."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"


def tar_of(files: Mapping[str, bytes]) -> bytes:
    """A tar archive.

    Args:
        files: Contents by path.
    """
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


def oci_archive(path: Path, reference: str, layers: Sequence[bytes], labels: Mapping[str, str] | None = None) -> str:
    """Write an image as an OCI archive; its digest.

    Args:
        path: Of the archive.
        reference: The image's name.
        layers: Tar archives.
        labels: Of the image.
    """
    blobs: dict[str, bytes] = {}

    def blob(content: bytes, **more: Any) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = content
        return {"digest": f"sha256:{digest}", "size": len(content), **more}

    entries = [blob(layer, mediaType=LAYER_TYPE) for layer in layers]
    rootfs = {"type": "layers", "diff_ids": [entry["digest"] for entry in entries]}
    described = {"architecture": "amd64", "os": "linux", "config": {"Labels": dict(labels or {})}, "rootfs": rootfs}
    config = blob(json.dumps(described).encode(), mediaType="application/vnd.oci.image.config.v1+json")
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config, "layers": entries}
    names = {"org.opencontainers.image.ref.name": reference, "io.containerd.image.name": reference}
    platform = {"os": "linux", "architecture": "amd64"}
    entry = blob(json.dumps(manifest).encode(), mediaType=MANIFEST_TYPE, annotations=names, platform=platform)
    top = {
        "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
        "index.json": json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode(),
    }
    path.write_bytes(tar_of({**top, **blobs}))
    return str(entry["digest"])


def zarf_package(zarf: Path, folder: Path, name: str, version: str, images: Mapping[str, Path]) -> Path:
    """Let the real zarf make a package.

    Args:
        zarf: The program.
        folder: An empty one.
        name: Of the package.
        version: Of the package.
        images: Archives by reference.
    """
    archives = [{"path": str(path), "images": [reference]} for reference, path in images.items()]
    definition = {
        "kind": "ZarfPackageConfig",
        "metadata": {"name": name, "version": version},
        "components": [{"name": name, "required": True, "imageArchives": archives}],
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "zarf.yaml").write_text(json.dumps(definition))
    _made([zarf, "package", "create", ".", "--confirm", "--no-color", "--architecture=amd64", "--output=out"], folder)
    return next((folder / "out").glob("zarf-package-*.tar.zst"))


def uds_bundle(uds: Path, folder: Path, name: str, version: str, packages: Mapping[str, Path]) -> Path:
    """Let the real uds make a bundle.

    Args:
        uds: The program.
        folder: An empty one.
        name: Of the bundle.
        version: Of the bundle, and of its packages.
        packages: Their files by name.
    """
    definition = {
        "kind": "UDSBundle",
        "metadata": {"name": name, "version": version},
        "packages": [{"name": package, "path": str(path), "ref": version} for package, path in packages.items()],
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "uds-bundle.yaml").write_text(json.dumps(definition))
    _made([uds, "create", ".", "--confirm", "--no-progress", "--architecture=amd64", "--output=out"], folder)
    return next((folder / "out").glob("uds-bundle-*.tar.zst"))


def _made(command: Sequence[str | Path], folder: Path) -> None:
    made = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=600)
    assert made.returncode == 0, made.stdout + made.stderr
