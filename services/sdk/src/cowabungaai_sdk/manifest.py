# SPDX-License-Identifier: Apache-2.0
"""What a model's folder says of itself: `manifest.json`, with the size and SHA-256 of every file, and the licence.

Needs nothing but Python's standard library: it is used where models are put together, too.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any

NAME = "manifest.json"
FORMAT = 1
"""The form of the file; another number is another form."""
MAX_BYTES = 1_048_576
"""The largest manifest that is read."""
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
"""A model's id: what a URL, a file system and a log hold without quoting."""
SHA256 = re.compile(r"[0-9a-f]{64}")


class ModelError(Exception):
    """A model cannot be served; the message says which file is wrong, what was expected, and what to do."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file of a model.

    Args:
        path: below the model's folder, with `/` between its parts.
        size: in bytes.
        sha256: of its content, in hexadecimal digits.
    """

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """A model's manifest.

    Args:
        id: the name by which requests choose the model.
        licence: under which the weights are used; an SPDX expression, or a name.
        files: all files of the folder but the manifest, by path.
        source: where the files come from.
        owned_by: the organisation that publishes the model.
        created: when the model was made, in seconds since 1970; 0 where that is not known.
        description: a sentence for people.
    """

    id: str
    licence: str
    files: tuple[ModelFile, ...]
    source: str = ""
    owned_by: str = ""
    created: int = 0
    description: str = ""

    @property
    def digest(self) -> str:
        """Names the weights: SHA-256 over the paths and digests of the files, in hexadecimal digits."""
        lines = (f"{file.path}\0{file.sha256}\n" for file in sorted(self.files, key=lambda file: file.path))
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    @property
    def size(self) -> int:
        """Of all files, in bytes."""
        return sum(file.size for file in self.files)

    def to_json(self) -> str:
        """The content of manifest.json; the same for the same manifest."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=2, ensure_ascii=False) + "\n"


def read(folder: Path) -> Manifest | None:
    """Reads a folder's manifest; None where it has none.

    Args:
        folder: of a model.

    Raises:
        ModelError: it is not a manifest, or of another form.
    """
    file = folder / NAME
    try:
        with file.open("rb") as source:
            data = source.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ModelError(f"{file} cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise ModelError(f"{file} is too long for a manifest; expected {MAX_BYTES} bytes at most")
    try:
        return _parse(json.loads(data), file)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{file} is not valid JSON: {error}") from error


def verify(folder: Path, manifest: Manifest) -> None:
    """Compares a folder with its manifest: all sizes first, then all digests.

    Args:
        folder: of the model.
        manifest: what it should hold.

    Raises:
        ModelError: a file is missing, truncated, changed, or not in the manifest; the message names all such files.
    """
    wrong = [*_missized(folder, manifest), *_unlisted(folder, manifest)]
    wrong = wrong or list(_changed(folder, manifest))
    if wrong:
        advice = "Bring the model anew, or name the right folder."
        raise ModelError(f"model {manifest.id!r} is not what its manifest says: " + "; ".join(wrong) + f". {advice}")


def describe(folder: Path, model_id: str, licence: str, **known: Any) -> Manifest:
    """Makes the manifest of a folder as it lies there; reads every byte of it.

    Args:
        folder: of the model.
        model_id: the id.
        licence: of the weights.
        known: further fields of Manifest.

    Raises:
        ModelError: the id or licence cannot be one, or the folder has no file.
    """
    paths = sorted(_paths(folder))
    if not paths:
        raise ModelError(f"{folder} holds no file; expected a model's files")
    found = [ModelFile(path, (folder / path).stat().st_size, sha256(folder / path)) for path in paths]
    made = Manifest(model_id, licence, tuple(found), **known)
    return _parse(json.loads(made.to_json()), folder / NAME)


def sha256(file: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits.

    Args:
        file: any.
    """
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def _missized(folder: Path, manifest: Manifest) -> Iterator[str]:
    for file in manifest.files:
        try:
            size = (folder / file.path).stat().st_size
        except OSError as error:
            yield f"{folder / file.path} cannot be read: {error.strerror}"
            continue
        if size < file.size:
            yield f"{folder / file.path} is truncated: expected {file.size} bytes, found {size}"
        elif size > file.size:
            yield f"{folder / file.path} is too long: expected {file.size} bytes, found {size}"


def _unlisted(folder: Path, manifest: Manifest) -> Iterator[str]:
    # An engine that opens the folder might read a file that nobody has checked.
    listed = {file.path for file in manifest.files}
    yield from (f"{folder / path} is not in the manifest" for path in sorted(_paths(folder)) if path not in listed)


def _changed(folder: Path, manifest: Manifest) -> Iterator[str]:
    for file in manifest.files:
        found = sha256(folder / file.path)
        if found != file.sha256:
            yield f"{folder / file.path} was changed: expected sha256 {file.sha256}, found {found}"


def _paths(folder: Path) -> Iterator[str]:
    for parent, _, names in os.walk(folder):
        for name in names:
            path = (Path(parent) / name).relative_to(folder).as_posix()
            if path != NAME:
                yield path


def _parse(raw: Any, file: Path) -> Manifest:
    wrong = list(_mistakes(raw))
    if wrong:
        raise ModelError(f"{file} is no manifest of format {FORMAT}: " + "; ".join(wrong))
    known = {field.name for field in fields(Manifest)}
    values = {name: value for name, value in raw.items() if name in known}
    return Manifest(**{**values, "files": tuple(ModelFile(**entry) for entry in raw["files"])})


def _mistakes(raw: Any) -> Iterator[str]:
    if not isinstance(raw, dict):
        yield "expected an object"
        return
    if raw.get("format") != FORMAT:
        yield f"format: expected {FORMAT}, found {raw.get('format')!r}"
        return
    expected = {"format", *(field.name for field in fields(Manifest))}
    yield from (f"{name}: no such field; expected {', '.join(sorted(expected))}" for name in raw.keys() - expected)
    if not isinstance(raw.get("id"), str) or not ID.fullmatch(raw["id"]):
        yield f"id: expected letters, digits and ._:- (128 at most), found {raw.get('id')!r}"
    if not isinstance(raw.get("licence"), str) or not raw["licence"].strip():
        yield f"licence: expected a name such as Apache-2.0, found {raw.get('licence')!r}"
    for name in ("source", "owned_by", "description"):
        if not isinstance(raw.get(name, ""), str):
            yield f"{name}: expected a text, found {raw[name]!r}"
    if not _is_count(raw.get("created", 0)):
        yield f"created: expected seconds since 1970, found {raw['created']!r}"
    yield from _mistakes_of_files(raw.get("files"))


def _mistakes_of_files(files: Any) -> Iterator[str]:
    if not isinstance(files, list) or not files:
        yield "files: expected a list of at least one file"
        return
    for index, entry in enumerate(files):
        if not isinstance(entry, dict) or entry.keys() != {"path", "size", "sha256"}:
            yield f"files.{index}: expected an object of path, size and sha256"
            continue
        path = entry["path"]
        if not isinstance(path, str) or not is_inside(path):
            yield f"files.{index}.path: expected a path below the folder, found {path!r}"
        if not _is_count(entry["size"]):
            yield f"files.{index}.size: expected bytes, found {entry['size']!r}"
        if not isinstance(entry["sha256"], str) or not SHA256.fullmatch(entry["sha256"]):
            yield f"files.{index}.sha256: expected 64 hexadecimal digits, found {entry['sha256']!r}"
    yield from _twice(entry["path"] for entry in files if isinstance(entry, dict) and "path" in entry)


def _twice(paths: Iterable[Any]) -> Iterator[str]:
    seen: set[str] = set()
    for path in map(str, paths):
        if path in seen:
            yield f"files: {path!r} is there twice"
        seen.add(path)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_inside(path: str) -> bool:
    """Whether a path stays below the folder that it starts from, and is written in its one normal form.

    Args:
        path: with `/` between its parts.
    """
    pure = PurePosixPath(path)
    inside = not pure.is_absolute() and ".." not in pure.parts and path not in ("", ".", NAME)
    return inside and str(pure) == path and "\\" not in path and "\0" not in path
