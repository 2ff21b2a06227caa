# SPDX-License-Identifier: Apache-2.0
"""Secrets are found where they are: what the other tests look with could else find nothing anywhere."""

from __future__ import annotations

import base64
import gzip
import io
import tarfile
from pathlib import Path

import pytest
import zstandard

from shared.secrecy import shown
from shared.shipped import packed, tar

SECRET = "correct-horse-battery"  # noqa: S105 - of this test
PLACES = {
    "as it is": SECRET.encode(),
    "in base64": base64.b64encode(f"user:{SECRET}!".encode()),
    "packed": gzip.compress(SECRET.encode()),
    "packed twice": zstandard.compress(tar({"layer": gzip.compress(tar({"file": SECRET.encode()}))})),
}


def linked() -> bytes:
    """An archive with a link that leads nowhere, as packages have them, and the secret behind it."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/no/such/file"
        archive.addfile(link)
        packed_file = tarfile.TarInfo("file")
        content = gzip.compress(SECRET.encode())
        packed_file.size = len(content)
        archive.addfile(packed_file, io.BytesIO(content))
    return made.getvalue()


PLACES["behind a link"] = linked()


@pytest.mark.parametrize("place", PLACES)
def test_a_secret_is_found(place: str, tmp_path: Path) -> None:
    file = packed(tmp_path / "package.tar.zst", {"other": b"nothing", "blob": PLACES[place]})
    (found,) = shown(SECRET, file)
    assert found.startswith(f"{file}, unpacked")
    assert shown("another-horse-battery", file) == []
