# SPDX-License-Identifier: Apache-2.0
"""Tells what an OCI archive says of itself: `python read_archive.py ARCHIVE NAME [BUILT_AT...]` prints it as JSON.

Needs nothing but Python's standard library: the pipeline runs it in a container, so that the engine's cache answers for
archives that it has seen. Files BUILT_AT hold times in seconds since 1970, of which the last is told.
"""

from __future__ import annotations

import json
import sys
import tarfile
from pathlib import Path
from typing import Any


def facts(archive: Path, name: str) -> dict[str, Any]:
    """Image name, manifest digest, size in bytes and number of layers.

    Args:
        archive: The file.
        name: What messages call it.

    Raises:
        ValueError: It is no OCI archive with one image.
    """
    with tarfile.open(archive) as opened:

        def read(path: str) -> Any:
            try:
                member = opened.extractfile(path)
            except KeyError:
                member = None
            if member is None:
                raise ValueError(f"{name} is no OCI archive: it has no {path}")
            return json.load(member)

        manifests = read("index.json").get("manifests")
        if not isinstance(manifests, list) or len(manifests) != 1:
            raise ValueError(f"{name}: expected one image in the archive's index")
        entry = manifests[0]
        manifest = read(f"blobs/sha256/{entry['digest'].removeprefix('sha256:')}")
    return {
        "image": entry.get("annotations", {}).get("io.containerd.image.name", ""),
        "digest": entry["digest"],
        "size": archive.stat().st_size,
        "layers": len(manifest.get("layers", [])),
    }


def main(archive: str, name: str, *built_at: str) -> None:
    """Print all of it."""
    try:
        found = facts(Path(archive), name)
    except ValueError as error:
        sys.exit(str(error))
    times = [float(Path(file).read_text()) for file in built_at]
    print(json.dumps({**found, "built_at": max(times, default=0.0)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
