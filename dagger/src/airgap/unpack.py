# SPDX-License-Identifier: Apache-2.0
"""Takes a bundle apart: its definition, and a folder for each of its packages, as Zarf lays them out."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airgap.tools import ProofError, from_yaml, output

TITLE = "org.opencontainers.image.title"
CHUNK = 1 << 20


@dataclass(frozen=True)
class Package:
    """A package of a bundle.

    Attributes:
        folder: Its files.
        definition: Its zarf.yaml.
        entry: What the bundle says of it.
        digest: Of its manifest in the bundle.
    """

    folder: Path
    definition: dict[str, Any]
    entry: dict[str, Any]
    digest: str

    @property
    def name(self) -> str:
        """Of the package."""
        return str(self.definition["metadata"]["name"])

    @property
    def images(self) -> list[str]:
        """The images that it brings."""
        components = self.definition["components"]
        archived = [
            image for one in components for archive in one.get("imageArchives", []) for image in archive["images"]
        ]
        return [*archived, *(image for one in components for image in one.get("images", []))]


class Layout:
    """An OCI image layout.

    Args:
        folder: Where it lies.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def blob(self, digest: str) -> Path:
        """A blob's file.

        Args:
            digest: As manifests name it.

        Raises:
            ProofError: It is not there, or not what its digest says.
        """
        algorithm, _, value = digest.partition(":")
        path = self.folder / "blobs" / algorithm / value
        if not path.is_file():
            raise ProofError(f"the bundle lacks the blob {digest}")
        found = hashlib.sha256()
        with path.open("rb") as content:
            while chunk := content.read(CHUNK):
                found.update(chunk)
        if found.hexdigest() != value:
            raise ProofError(f"the bundle's blob {digest} is damaged: its digest is sha256:{found.hexdigest()}")
        return path

    def read(self, digest: str) -> dict[str, Any]:
        """A blob that is JSON: a manifest, or a configuration.

        Args:
            digest: Of it.
        """
        read: dict[str, Any] = json.loads(self.blob(digest).read_text())
        return read


def titled(manifest: dict[str, Any]) -> dict[str, str]:
    """The digests of a manifest's blobs by the names of the files that they are.

    Args:
        manifest: Of a bundle or a package.
    """
    layers = manifest.get("layers", [])
    return {layer["annotations"][TITLE]: layer["digest"] for layer in layers if TITLE in layer.get("annotations", {})}


def unpack(bundle: Path, into: Path) -> tuple[dict[str, Any], list[Package]]:
    """A bundle's definition and packages, every blob checked against its digest.

    Args:
        bundle: The file that uds made.
        into: An empty folder.

    Raises:
        ProofError: It is no bundle, or lacks a blob, or one is damaged.
    """
    archive = into / "bundle"
    output("zarf", "tools", "archiver", "decompress", bundle, archive)
    layout = Layout(archive)
    index = json.loads((archive / "index.json").read_text())
    root = layout.read(index["manifests"][0]["digest"])
    files = titled(root)
    definition = from_yaml(layout.blob(files["uds-bundle.yaml"]).read_text())[0]
    packages = []
    for entry in definition["packages"]:
        digest = "sha256:" + str(entry["ref"]).rpartition("sha256:")[2]
        folder = into / "packages" / entry["name"]
        _lay_out(layout, digest, folder)
        zarf_yaml = folder / "zarf.yaml"
        if not zarf_yaml.is_file():
            raise ProofError(f"package {entry['name']} of the bundle has no zarf.yaml")
        packages.append(Package(folder, from_yaml(zarf_yaml.read_text())[0], entry, digest))
    return definition, packages


def _lay_out(layout: Layout, digest: str, folder: Path) -> None:
    """Give a package's blobs their names, without copying them."""
    for title, blob in titled(layout.read(digest)).items():
        path = (folder / title).resolve()
        if not path.is_relative_to(folder.resolve()):
            raise ProofError(f"the bundle names a file outside of its package: {title}")
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(layout.blob(blob), path)
