# SPDX-License-Identifier: Apache-2.0
"""How archives leave the engine: only those that changed are sent, and they appear together.

An export that wipes its folder compares sizes and times with what lies there, as rsync does, and sends the rest; one
that merges sends everything. So the engine writes into a folder of links to the archives that are there.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cowabunga import store

FOLDER = ".incoming"


@contextmanager
def receiving(target: Path, known: str) -> Iterator[Path]:
    """A folder for `export --wipe`, whose files replace those of `target` when the block ends without an error.

    Args:
        target: Where the files go; what else is in it stays.
        known: Pattern of files in `target` that need not be sent again, such as `images/*.tar`.
    """
    incoming = target / FOLDER
    with store.locked(f"receiving-{hashlib.sha256(str(target).encode()).hexdigest()[:16]}"):
        store.remove(incoming)  # Of a launcher that was killed.
        try:
            _link(target, incoming, known)
            yield incoming
            _move(incoming, target)
        finally:
            store.remove(incoming)


def _link(target: Path, incoming: Path, known: str) -> None:
    incoming.mkdir(parents=True)
    for file in target.glob(known):
        link = incoming / file.relative_to(target)
        link.parent.mkdir(exist_ok=True)
        # Where a file system has no links, everything is sent.
        with contextlib.suppress(OSError):
            link.hardlink_to(file)


def _move(incoming: Path, target: Path) -> None:
    # From the end, so that the report comes after the archives that it tells of.
    for file in sorted(incoming.rglob("*"), reverse=True):
        if file.is_file():
            place = target / file.relative_to(incoming)
            place.parent.mkdir(parents=True, exist_ok=True)
            file.replace(place)
