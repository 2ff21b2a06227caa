# SPDX-License-Identifier: Apache-2.0
"""Writes a folder as a layer of an OCI image: `python write_layer.py FOLDER OUT EPOCH [--data]`.

OUT gets layer.tar.zst and layer.json. The pipeline runs it in a container with the pinned `zstandard`. The bytes follow
from the files alone: names are sorted, all times are EPOCH, and the number of zstd's threads does not matter. With
--data neither do modes and owners; that is for weights, which hardly become smaller.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

# Of media that people carry, every byte counts; but a gigabyte would take half an hour for a tenth of it.
LEVEL = 19
LARGE = 200_000_000
LEVEL_OF_LARGE = 9
LEVEL_OF_DATA = 3


class Hashing:
    """A file for writing only that hashes what goes through it.

    Attributes:
        size: Bytes so far.
    """

    def __init__(self, target: IO[bytes]) -> None:
        self.target = target
        self.sha256 = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        """Write and hash."""
        self.sha256.update(data)
        self.size += len(data)
        return self.target.write(data)

    @property
    def digest(self) -> str:
        """Of what was written, as images name it."""
        return f"sha256:{self.sha256.hexdigest()}"


def members(folder: Path) -> Iterator[Path]:
    """All that is below a folder, each folder before what it holds, sorted by name."""
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        yield Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            yield from members(Path(entry.path))


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.lstat().st_size for path in members(folder))


def write_tar(folder: Path, target: Any, epoch: int, *, data: bool = False) -> None:
    """Write a folder's content as a tar archive.

    Args:
        folder: What the layer holds; it has no entry itself.
        target: Takes the bytes.
        epoch: Time of every file, in seconds since 1970.
        data: Whether all may read every file, and root owns it.
    """
    with tarfile.open(fileobj=target, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for path in members(folder):
            member = archive.gettarinfo(path, arcname=str(path.relative_to(folder)))
            member.mtime, member.uname, member.gname = epoch, "", ""
            if data:
                member.mode, member.uid, member.gid = 0o755 if member.isdir() else 0o644, 0, 0
            if member.isreg():
                with path.open("rb") as content:
                    archive.addfile(member, content)
            else:
                archive.addfile(member)


def write_layer(folder: Path, out: Path, epoch: int, *, data: bool = False) -> None:
    """Write the layer, and what an image must know of it.

    Args:
        folder: What the layer holds.
        out: Gets layer.tar.zst, and layer.json with its digest, its size in bytes and its diff_id.
        epoch: Time of every file, in seconds since 1970.
        data: Whether the files are data only, for all to read.
    """
    import zstandard

    out.mkdir(parents=True, exist_ok=True)
    level = LEVEL_OF_DATA if data else LEVEL if size_of(folder) < LARGE else LEVEL_OF_LARGE
    compressor = zstandard.ZstdCompressor(level=level, threads=os.cpu_count() or 1)
    with (out / "layer.tar.zst").open("wb") as file:
        compressed = Hashing(file)
        with compressor.stream_writer(cast("IO[bytes]", compressed), closefd=False) as stream:
            plain = Hashing(stream)
            write_tar(folder, plain, epoch, data=data)
    described = {"digest": compressed.digest, "size": compressed.size, "diff_id": plain.digest}
    (out / "layer.json").write_text(json.dumps(described))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("epoch", type=int)
    parser.add_argument("--data", action="store_true")
    write_layer(**vars(parser.parse_args()))
