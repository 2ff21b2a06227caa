# SPDX-License-Identifier: Apache-2.0
"""Writes images' OCI archives and reads them, in the engine: what it has done before costs nothing.

The engine's own export is not used: it notes the time at which it ran, and compresses less than media want.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagger
from dagger import dag
from pydantic import BaseModel, ConfigDict

from cowabungaai.wheels import BUILD_IMAGE, SOURCE_DATE_EPOCH

PROGRAM = "src/cowabungaai/read_archive.py"
DEFINITION_PROGRAM = "src/cowabungaai/read_definition.py"
LAYER_PROGRAM = "src/cowabungaai/write_layer.py"
IMAGE_PROGRAM = "src/cowabungaai/write_image.py"
WRITER_LOCK = "toolchain/requirements/image-writer.lock"
CREATED = datetime.fromtimestamp(SOURCE_DATE_EPOCH, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class Layer:
    """What an image has in a layer.

    Attributes:
        tree: The files, as they lie below /.
        made_by: What they are, for the image's history.
        data: Whether they are data only, such as weights.
    """

    tree: dagger.Directory
    made_by: str
    data: bool = False


class ArchiveFacts(BaseModel):
    """What an OCI archive says of itself.

    Attributes:
        image: The name that it carries.
        digest: Of the image's manifest.
        size: Bytes of the archive.
        layers: How many the image has.
        built_at: When the last of the given stages ran, in seconds since 1970; 0 where none was given.
    """

    model_config = ConfigDict(frozen=True)

    image: str
    digest: str
    size: int
    layers: int
    built_at: float


async def facts_of(archive: dagger.File, name: str, built_at: Sequence[dagger.File] = ()) -> ArchiveFacts:
    """Read an archive's index and manifest.

    Args:
        archive: The OCI archive.
        name: What messages call it.
        built_at: Files in which the stages of the image noted when they ran.

    Raises:
        ExecError: It is no OCI archive with one image.
    """
    reading = (
        dag.container()
        .from_(BUILD_IMAGE)
        .with_mounted_file("/read_archive.py", dag.current_module().source().file(PROGRAM))
        .with_mounted_file("/archive.tar", archive)
    )
    noted = [f"/built-at/{number}" for number in range(len(built_at))]
    for path, file in zip(noted, built_at, strict=True):
        reading = reading.with_mounted_file(path, file)
    told = await reading.with_exec(["python", "/read_archive.py", "/archive.tar", name, *noted]).stdout()
    return ArchiveFacts.model_validate_json(told)


async def definition_of(source: dagger.Directory, package: dagger.File) -> str:
    """The zarf.yaml that a Zarf package holds.

    Args:
        source: The root of the repository.
        package: The file.

    Raises:
        ExecError: It is no Zarf package.
    """
    reading = (
        _with_zstandard(source)
        .with_mounted_file("/read_definition.py", dag.current_module().source().file(DEFINITION_PROGRAM))
        .with_mounted_file("/package.tar.zst", package)
    )
    return await reading.with_exec(["python", "/read_definition.py", "/package.tar.zst"]).stdout()


def _with_zstandard(source: dagger.Directory) -> dagger.Container:
    return (
        dag.container()
        .from_(BUILD_IMAGE)
        .with_env_variable("PIP_ROOT_USER_ACTION", "ignore")
        .with_mounted_file("/locks/writer.lock", source.file(WRITER_LOCK))
        .with_exec(["pip", "install", "--quiet", "--no-cache-dir", "--require-hashes", "-r", "/locks/writer.lock"])
    )


def packed(source: dagger.Directory, layer: Layer) -> dagger.Directory:
    """A layer's blob, and what an image must know of it; see write_layer.py.

    Args:
        source: The root of the repository.
        layer: Its files.
    """
    options = ["--data"] if layer.data else []
    return (
        _with_zstandard(source)
        .with_mounted_file("/write_layer.py", dag.current_module().source().file(LAYER_PROGRAM))
        .with_mounted_directory("/tree", layer.tree)
        .with_exec(["python", "/write_layer.py", "/tree", "/out", str(SOURCE_DATE_EPOCH), *options])
        .directory("/out")
    )


def image_archive(
    source: dagger.Directory, layers: Sequence[Layer], reference: str, config: dict[str, Any], platform: str
) -> dagger.File:
    """An image as an OCI archive.

    Args:
        source: The root of the repository.
        layers: The lowest first.
        reference: The image's name.
        config: As OCI has it.
        platform: Such as linux/amd64.
    """
    system, architecture, *variant = platform.split("/")
    settings = {
        "reference": reference,
        "created": CREATED,
        "os": system,
        "architecture": architecture,
        **({"variant": variant[0]} if variant else {}),
        "config": config,
        "layers": [layer.made_by for layer in layers],
    }
    writing = (
        dag.container()
        .from_(BUILD_IMAGE)
        .with_mounted_file("/write_image.py", dag.current_module().source().file(IMAGE_PROGRAM))
        .with_new_file("/settings.json", json.dumps(settings))
    )
    folders = [f"/layers/{number}" for number in range(len(layers))]
    for folder, layer in zip(folders, layers, strict=True):
        writing = writing.with_mounted_directory(folder, packed(source, layer))
    return writing.with_exec(["python", "/write_image.py", "/settings.json", "/out/image.tar", *folders]).file(
        "/out/image.tar"
    )
