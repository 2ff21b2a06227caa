# SPDX-License-Identifier: Apache-2.0
"""Prints the zarf.yaml that a Zarf package holds: `python read_definition.py PACKAGE`.

Needs the wheel zstandard alone: the pipeline runs it in a container, so that the engine's cache answers for packages
that it has seen.
"""

from __future__ import annotations

import sys
import tarfile
from pathlib import Path

import zstandard

NAME = "zarf.yaml"


def definition(package: Path) -> str:
    """What describes a package: all that is in it, by digest, and how it was made.

    Args:
        package: The file.

    Raises:
        ValueError: It has none.
    """
    with (
        package.open("rb") as file,
        zstandard.ZstdDecompressor().stream_reader(file) as opened,
        tarfile.open(fileobj=opened, mode="r|") as members,
    ):
        for member in members:
            if member.name.removeprefix("./") == NAME and (content := members.extractfile(member)):
                return content.read().decode()
    raise ValueError(f"{package.name} is no Zarf package: it has no {NAME}")


if __name__ == "__main__":
    try:
        print(definition(Path(sys.argv[1])), end="")
    except ValueError as error:
        sys.exit(str(error))
