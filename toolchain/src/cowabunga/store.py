# SPDX-License-Identifier: Apache-2.0
"""A cache of built things: each entry appears whole or not at all.

An entry is a directory named by what went into it. It is built in a staging directory beside it under an
exclusive lock and renamed when finished, so a second launcher waits, and a killed one leaves only staging
that the next one removes. A manifest of sizes and SHA-256 sums tells a damaged entry, which is built anew.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cowabunga import console
from cowabunga.errors import DiskFullError
from cowabunga.paths import cache_home
from cowabunga.process import hint_for

MANIFEST = ".manifest.json"
# Between an entry's key and the id of the process that makes it.
STAGING = ".staging-"


@contextmanager
def locked(name: str, *, shared: bool = False) -> Iterator[None]:
    """Hold a lock of the cache; the kernel drops it when the process ends, however it ends.

    Args:
        name: Of the lock.
        shared: Whether others may hold it too, if they ask for it shared.
    """
    mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    with _lock_file(name).open("a") as handle:
        try:
            fcntl.flock(handle, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            console.note(f"another launcher is at work on {name}: waiting for it")
            fcntl.flock(handle, mode)
        yield


@contextmanager
def locked_if_free(name: str) -> Iterator[bool]:
    """Hold a lock of the cache unless somebody else holds it; yields whether it is held.

    Args:
        name: Of the lock.
    """
    with _lock_file(name).open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def ensure(kind: str, key: str, build: Callable[[Path], None], *, verify: bool = True) -> Path:
    """Path of a cache entry, built first where it is missing or damaged.

    Args:
        kind: What it is, such as "zarf"; entries of one kind replace one another when the key changes.
        key: Digest of all that goes into it.
        build: Fills the empty directory that it is given.
        verify: Whether the files are compared with the manifest's SHA-256 sums, else with their sizes.

    Raises:
        DiskFullError: No space was left while it was built; nothing half-made stays.
    """
    entry = cache_home() / kind / key
    if is_sound(entry, verify=verify):
        return entry
    with locked(f"{kind}-{key}"):
        if is_sound(entry, verify=verify):
            return entry
        if entry.exists():
            console.warn(f"{entry} is damaged: building it anew")
            remove(entry)
        for leftover in entry.parent.glob(f"{key}{STAGING}*"):
            remove(leftover)
        staging = entry.with_name(f"{key}{STAGING}{os.getpid()}")
        try:
            staging.mkdir(parents=True)
            build(staging)
            _write_manifest(staging)
            staging.rename(entry)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFullError(f"no space left for {entry}", hint_for(DiskFullError, None)) from error
            raise
        finally:
            remove(staging)
    return entry


def is_sound(entry: Path, *, verify: bool) -> bool:
    """Whether an entry exists and its files are as the manifest says.

    A file of the noted size and time is taken as unchanged; with another time its SHA-256 sum is compared, if `verify`.
    """
    try:
        manifest = json.loads((entry / MANIFEST).read_text())
        for name, (size, modified, sha256) in manifest.items():
            file = entry / name
            found = file.lstat()
            if found.st_size != size or (verify and found.st_mtime_ns != modified and _sha256(file) != sha256):
                return False
    except (OSError, ValueError):
        return False
    return True


def remove(path: Path) -> None:
    """Remove a directory or file that may not exist."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _lock_file(name: str) -> Path:
    directory = cache_home() / "locks"
    directory.mkdir(parents=True, exist_ok=True)
    return directory / f"{name}.lock"


def _write_manifest(entry: Path) -> None:
    files = sorted(p for p in entry.rglob("*") if p.is_file() and not p.is_symlink())
    manifest = {p.relative_to(entry).as_posix(): (p.lstat().st_size, p.lstat().st_mtime_ns, _sha256(p)) for p in files}
    (entry / MANIFEST).write_text(json.dumps(manifest))


def _sha256(file: Path) -> str:
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
