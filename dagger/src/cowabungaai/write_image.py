# SPDX-License-Identifier: Apache-2.0
"""Puts layers together to an OCI archive: `python write_image.py SETTINGS OUT LAYER...`.

SETTINGS is a JSON file: reference, created, architecture, os, perhaps variant, config as OCI has it, and what made each
layer. LAYERs are folders as write_layer.py leaves them. Needs nothing but Python's standard library. The bytes follow
from these alone. `docker load` reads the archive, too.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path
from typing import Any

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+zstd"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"


def as_bytes(document: Any) -> bytes:
    """JSON in one form only."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def descriptor(media_type: str, data: bytes) -> dict[str, Any]:
    """How other documents name a blob."""
    return {"mediaType": media_type, "digest": f"sha256:{hashlib.sha256(data).hexdigest()}", "size": len(data)}


def blob(digest: str) -> str:
    """Where a blob lies in an image layout."""
    return f"blobs/{digest.replace(':', '/')}"


def documents(settings: dict[str, Any], layers: list[dict[str, Any]]) -> dict[str, bytes]:
    """All small files of the archive by their paths.

    Args:
        settings: See above.
        layers: The layer.json of each.
    """
    made_by = settings["layers"]
    config = as_bytes(
        {
            "created": settings["created"],
            **{key: settings[key] for key in ("architecture", "os", "variant") if key in settings},
            "config": settings["config"],
            "rootfs": {"type": "layers", "diff_ids": [layer["diff_id"] for layer in layers]},
            "history": [{"created": settings["created"], "created_by": what} for what in made_by],
        }
    )
    names = {
        "org.opencontainers.image.ref.name": settings["reference"],
        "io.containerd.image.name": settings["reference"],
    }
    described = descriptor(CONFIG_TYPE, config)
    manifest = as_bytes(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": described,
            "layers": [{"mediaType": LAYER_TYPE, "digest": one["digest"], "size": one["size"]} for one in layers],
            "annotations": names,
        }
    )
    image = descriptor(MANIFEST_TYPE, manifest)
    index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [{**image, "annotations": names}]}
    paths = [blob(layer["digest"]) for layer in layers]
    loading = [{"Config": blob(described["digest"]), "RepoTags": [settings["reference"]], "Layers": paths}]
    return {
        "oci-layout": as_bytes({"imageLayoutVersion": "1.0.0"}),
        "index.json": as_bytes(index),
        "manifest.json": as_bytes(loading),
        blob(image["digest"]): manifest,
        blob(described["digest"]): config,
    }


def add(archive: tarfile.TarFile, name: str, size: int, content: Any) -> None:
    """Add a file, without a time."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o444
    archive.addfile(member, content)


def main(settings_file: str, out: str, *folders: str) -> None:
    """Write the archive."""
    layers = [json.loads((Path(folder) / "layer.json").read_text()) for folder in folders]
    files = documents(json.loads(Path(settings_file).read_text()), layers)
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(out, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in files.items():
            add(archive, name, len(data), io.BytesIO(data))
        seen = set()
        for folder, layer in zip(folders, layers, strict=True):
            if layer["digest"] not in seen:
                seen.add(layer["digest"])
                with (Path(folder) / "layer.tar.zst").open("rb") as content:
                    add(archive, blob(layer["digest"]), layer["size"], content)


if __name__ == "__main__":
    main(*sys.argv[1:])
