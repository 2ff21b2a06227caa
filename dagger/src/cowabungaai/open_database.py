# SPDX-License-Identifier: Apache-2.0
"""Takes a vulnerability database out of an archive or a cache, and looks what it knows: in a container, by itself.

    open_database.py ARCHIVE|FOLDER OUT     puts trivy.db and metadata.json into OUT
    open_database.py --identity FOLDER      prints what changes when the database in a folder does
    open_database.py --knows FOLDER NAME... fails where the database has nothing on one of the names
    open_database.py --of REFERENCE CACHE   removes the database from a cache that has one of another mirror

Needs nothing but Python's standard library. What is wrong is told on one line.
"""

import hashlib
import json
import mmap
import shutil
import sys
import tarfile
import zlib
from pathlib import Path

FILES = ("trivy.db", "metadata.json")


class UnusableError(Exception):
    """There is no database, or it cannot be read."""


def check_folder(folder: Path) -> None:
    """Refuse a folder that lacks one of the two files."""
    missing = [name for name in FILES if not (folder / name).is_file() or not (folder / name).stat().st_size]
    if missing:
        raise UnusableError(f"there is none: no {' and no '.join(missing)}")


def take(source: Path, out: Path) -> None:
    """Copy or unpack a database.

    Args:
        source: An archive with the two files at its top, or a folder.
        out: The folder to put them into.

    Raises:
        UnusableError: It is not a database.
    """
    out.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        check_folder(source)
        for name in FILES:
            shutil.copyfile(source / name, out / name)
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
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise UnusableError(f"it is no readable tar.gz archive: {error}") from error


def identity(folder: Path) -> str:
    """What a database says of its making, and its size; not when it was fetched."""
    check_folder(folder)
    text = (folder / FILES[1]).read_text()
    try:
        metadata = json.loads(text)
        made = [metadata.get("Version"), metadata.get("UpdatedAt")]
    except (ValueError, AttributeError):
        made = [text]
    return hashlib.sha256(json.dumps([*made, (folder / FILES[0]).stat().st_size]).encode()).hexdigest()


def unknown(folder: Path, names: list[str]) -> list[str]:
    """Those of some names that a database has nowhere: it stores the names of its parts as they are."""
    with (folder / FILES[0]).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return [name for name in names if content.find(name.encode()) < 0]


def keep_only(reference: str, cache: Path) -> None:
    """Remove a cache's database where it is of another mirror: Trivy takes a young one, wherever it is from.

    Args:
        reference: The mirror that is about to be asked.
        cache: The folder with Trivy's `db` in it.
    """
    note = cache / "reference"
    if not note.is_file() or note.read_text() != reference:
        shutil.rmtree(cache / "db", ignore_errors=True)
        note.write_text(reference)


def main(arguments: list[str]) -> None:
    """Do what the arguments say."""
    match arguments:
        case ["--identity", folder]:
            print(identity(Path(folder)), end="")
        case ["--knows", folder, *names]:
            if lacking := unknown(Path(folder), names):
                raise UnusableError(f"it knows nothing of {', '.join(lacking)}, so nothing of it would be found")
        case ["--of", reference, cache]:
            keep_only(reference, Path(cache))
        case [source, out]:
            take(Path(source), Path(out))
        case _:
            known = "ARCHIVE OUT, --identity FOLDER, --knows FOLDER NAME... or --of REFERENCE CACHE"
            raise UnusableError(f"expected {known}, got {arguments}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UnusableError as error:
        sys.exit(str(error))
