# SPDX-License-Identifier: Apache-2.0
"""A registry on this node, filled with a bundle's images by Zarf, from which pods get theirs."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from airgap.tools import ProofError, output
from airgap.unpack import Layout, Package

ADDRESS = "127.0.0.1:5000"
CONFIG = """version: 0.1
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: "{address}"}}
"""
START_SECONDS = 30


@contextmanager
def registry(folder: Path) -> Iterator[None]:
    """A registry, until the block ends.

    Args:
        folder: For its configuration, what it holds, and its log.
    """
    folder.mkdir(parents=True)
    config = folder / "config.yaml"
    config.write_text(CONFIG.format(folder=folder / "blobs", address=ADDRESS))
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(["registry", "serve", config], stdout=log, stderr=log) as serving,
    ):
        try:
            _wait(serving)
            yield
        finally:
            serving.terminate()


def _wait(serving: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and serving.poll() is None:
        try:
            with urlopen(f"http://{ADDRESS}/v2/", timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    raise ProofError(f"the registry did not start within {START_SECONDS} s")


def here(reference: str) -> str:
    """An image's name in the registry of this node.

    Args:
        reference: As packages name it.
    """
    return f"{ADDRESS}/{reference.partition('/')[2]}"


def mirror(package: Package, scratch: Path) -> None:
    """Push a package's images into the registry, by Zarf.

    Args:
        package: Of the bundle.
        scratch: A folder for it.

    Raises:
        ProofError: The package lacks an image.
    """
    if not package.images:
        return
    scratch.mkdir(parents=True, exist_ok=True)
    metadata = package.definition["metadata"]
    archive = scratch / f"zarf-package-{metadata['name']}-{metadata['architecture']}-{metadata['version']}.tar"
    with tarfile.open(archive, "w") as opened:
        for path in sorted(package.folder.iterdir()):
            opened.add(path, path.name)
    output(
        "zarf",
        "package",
        "mirror-resources",
        archive,
        "--images",
        "--confirm",
        "--no-color",
        "--no-img-checksum",
        "--plain-http",
        "--registry-push-username=nobody",
        "--registry-push-password=nothing",
        f"--registry-url={ADDRESS}",
    )
    archive.unlink()


@dataclass(frozen=True)
class Image:
    """An image, unpacked.

    Attributes:
        reference: As packages name it.
        digest: Of its manifest.
        root: Its files.
        config: How it is run.
    """

    reference: str
    digest: str
    root: Path
    config: dict[str, Any]


def pull(reference: str, into: Path) -> Image:
    """Get an image out of the registry.

    Args:
        reference: As packages name it.
        into: Where its files go.

    Raises:
        ProofError: The registry does not have it.
    """
    into.mkdir(parents=True)
    pulled = into.with_suffix(".oci")
    output("zarf", "tools", "registry", "pull", "--insecure", "--format=oci", here(reference), pulled)
    layout = Layout(pulled)
    digest = json.loads((pulled / "index.json").read_text())["manifests"][0]["digest"]
    manifest = layout.read(digest)
    for layer in manifest["layers"]:
        output("tar", "--extract", "--numeric-owner", "--file", layout.blob(layer["digest"]), "--directory", into)
    if hidden := next(into.rglob(".wh.*"), None):
        raise ProofError(f"{reference}: a layer takes away {hidden.relative_to(into)}; images of ours only add files")
    config = layout.read(manifest["config"]["digest"])["config"]
    shutil.rmtree(pulled)
    return Image(reference, digest, into, config)
