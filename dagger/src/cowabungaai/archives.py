# SPDX-License-Identifier: Apache-2.0
"""What images' archives say of themselves. The engine reads them: one that it has read before costs nothing."""

from __future__ import annotations

from collections.abc import Sequence

import dagger
from dagger import dag
from pydantic import BaseModel, ConfigDict

from cowabungaai.wheels import BUILD_IMAGE

PROGRAM = "src/cowabungaai/read_archive.py"


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
