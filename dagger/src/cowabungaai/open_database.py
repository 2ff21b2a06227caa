# SPDX-License-Identifier: Apache-2.0
"""Takes a vulnerability database out of an archive or a cache, and looks what it knows: in a container, by itself.

    open_database.py ARCHIVE|FOLDER OUT [IDENTITY]      puts trivy.db and metadata.json into OUT
    open_database.py --identity FOLDER                  prints what changes when the database in a folder does
    open_database.py --fetch REFERENCE CACHE COMMAND... fetches a mirror's database into a cache, prints its identity
    open_database.py --knows FOLDER NAME...             fails where the database has no bucket that begins so

Needs nothing but Python's standard library. What is wrong is told on the last line of stderr. Exit code 1 means that
another database is needed; 2, that this one may be good.
"""

import gzip
import hashlib
import json
import mmap
import shutil
import struct
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

FILES = ("trivy.db", "metadata.json")
# BoltDB's format, version 2: https://github.com/etcd-io/bbolt/tree/main/internal/common
MAGIC, VERSION = 0xED0CDAED, 2
HEADER = ELEMENT = 16
BRANCH, LEAF, BUCKET = 1, 2, 1


class UnusableError(Exception):
    """There is no database, or it cannot be read."""


class FetchError(Exception):
    """A database could not be fetched, or is not the one any more that was fetched."""


def check_folder(folder: Path) -> None:
    """Refuse a folder that lacks one of the two files."""
    missing = [name for name in FILES if not (folder / name).is_file() or not (folder / name).stat().st_size]
    if missing:
        raise UnusableError(f"there is none: no {' and no '.join(missing)}")


def take(source: Path, out: Path, expected: str | None = None) -> None:
    """Copy or unpack a database.

    Args:
        source: An archive with the two files at its top, or a folder.
        out: The folder to put them into.
        expected: Its identity, where that is known: another run may have put another one into the folder.

    Raises:
        UnusableError: It is not a database.
        FetchError: It is another one.
        OSError: It cannot be read or written, such as to a disk that is full.
    """
    out.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        check_folder(source)
        for name in FILES:
            shutil.copyfile(source / name, out / name)
        if expected is not None and identity(out) != expected:
            raise FetchError(
                "another run has put another one in its place meanwhile; run it again, "
                "and give each mirror a --db-cache of its own"
            )
        return
    try:
        with tarfile.open(source, "r:gz") as archive:
            members = {member.name.removeprefix("./"): member for member in archive if member.isfile()}
            missing = [name for name in FILES if name not in members]
            if missing:
                raise UnusableError(f"the archive has no {' and no '.join(missing)} at its top")
            for name in FILES:
                with (out / name).open("wb") as target:
                    opened = archive.extractfile(members[name])
                    assert opened is not None  # noqa: S101 - it is a file
                    shutil.copyfileobj(opened, target)
            check_folder(out)
    except (tarfile.TarError, zlib.error, gzip.BadGzipFile, EOFError) as error:
        raise UnusableError(f"it is no readable tar.gz archive: {error}") from error


def identity(folder: Path) -> str:
    """A digest of a database, and of what it says of its making; not of when it was fetched."""
    check_folder(folder)
    text = (folder / FILES[1]).read_text()
    try:
        metadata = json.loads(text)
        made = [metadata.get("Version"), metadata.get("UpdatedAt")]
    except (ValueError, AttributeError):
        made = [text]
    with (folder / FILES[0]).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return hashlib.sha256(json.dumps([*made, digest]).encode()).hexdigest()


def unknown(folder: Path, names: list[str]) -> list[str]:
    """Those of some names with which none of a database's buckets begins.

    Args:
        folder: The database's.
        names: Such as `debian 13` and `pip::`; a bucket is `pip::GitHub Security Advisory Pip`.

    Raises:
        UnusableError: trivy.db is not as BoltDB writes it.
    """
    with (folder / FILES[0]).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        try:
            found = tuple(buckets(content))
        except struct.error as error:
            raise UnusableError(f"{FILES[0]} is not whole: {error}") from error
    return [name for name in names if not any(bucket.startswith(name.encode()) for bucket in found)]


def buckets(content: mmap.mmap) -> Iterator[bytes]:
    """Names of a BoltDB file's outermost buckets.

    Args:
        content: Of the file.

    Raises:
        UnusableError: It is no BoltDB file.
        struct.error: It ends too early.
    """
    magic, version, size = struct.unpack_from("<III", content, HEADER)
    if (magic, version) != (MAGIC, VERSION):
        raise UnusableError(f"{FILES[0]} is no BoltDB file of version {VERSION}")
    # The first two pages take turns: the one with the later transaction holds.
    turns = [struct.unpack_from("<QQQQQ", content, page * size + HEADER + 16) for page in (0, 1)]
    root, *_ = max(turns, key=lambda turn: turn[-1])
    pages, seen = [root], set()
    while pages:
        page = pages.pop()
        if page in seen:
            raise UnusableError(f"{FILES[0]} is not whole: its pages lead back to themselves")
        seen.add(page)
        start = page * size
        sort, count = struct.unpack_from("<HH", content, start + 8)
        first = start + HEADER
        for element in range(first, first + count * ELEMENT, ELEMENT):
            if sort == BRANCH:
                pages += struct.unpack_from("<Q", content, element + 8)
            elif sort == LEAF:
                kind, position, length = struct.unpack_from("<III", content, element)
                if kind == BUCKET:
                    yield content[element + position : element + position + length]


def fetch(reference: str, cache: Path, command: Sequence[str]) -> str:
    """Have a mirror's database fetched into a cache, which no other run uses meanwhile.

    Args:
        reference: The mirror.
        cache: The folder with Trivy's `db` in it.
        command: Fetches it.

    Returns:
        Its identity.

    Raises:
        FetchError: The command failed; the message ends with what it said last.
        UnusableError: It has fetched none.
    """
    keep_only(reference, cache)
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        raise FetchError(run.stderr.strip() or f"{command[0]} ended with exit code {run.returncode}")
    return identity(cache / "db")


def keep_only(reference: str, cache: Path) -> None:
    """Remove a cache's database where it is of another mirror: Trivy takes a young one, wherever it is from.

    Args:
        reference: The mirror that is about to be asked.
        cache: The folder with Trivy's `db` in it.
    """
    note = cache / "reference"
    if not note.is_file() or note.read_text() != reference:
        if (cache / "db").exists():
            shutil.rmtree(cache / "db")
        note.write_text(reference)


def main(arguments: list[str]) -> None:
    """Do what the arguments say."""
    match arguments:
        case ["--identity", folder]:
            print(identity(Path(folder)), end="")
        case ["--knows", folder, *names]:
            if lacking := unknown(Path(folder), names):
                raise UnusableError(f"it knows nothing of {', '.join(lacking)}, so nothing of it would be found")
        case ["--fetch", reference, cache, *command]:
            print(fetch(reference, Path(cache), command), end="")
        case [source, out, *expected] if len(expected) <= 1:
            take(Path(source), Path(out), *expected)
        case _:
            known = (
                "ARCHIVE|FOLDER OUT [IDENTITY], --identity FOLDER, --fetch REFERENCE CACHE COMMAND... "
                "or --knows FOLDER NAME..."
            )
            raise UnusableError(f"expected {known}, got {arguments}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UnusableError as error:
        sys.exit(str(error))
    except FetchError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        print(f"it could not be opened: {error}", file=sys.stderr)
        sys.exit(2)
