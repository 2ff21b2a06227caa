# SPDX-License-Identifier: Apache-2.0
"""Pushes OCI layouts into the registry that serves as the engine's mirror of docker.io.

The registry listens on the loopback of the engine's own network namespace, out of the machine's reach, so the launcher
runs this module inside that namespace: `python -m cowabunga.registry LAYOUT=NAME:TAG ...`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import httpx

from cowabunga import oci
from cowabunga.errors import EngineError

ADDRESS = "127.0.0.1:5000"


def push(client: httpx.Client, layout: Path, name: str, tag: str) -> None:
    """Upload an image under a tag; blobs that the registry has already are left out.

    Args:
        client: With the registry's address as base URL.
        layout: An OCI layout with one manifest.
        name: Repository, such as library/debian.
        tag: Tag, such as trixie-slim.

    Raises:
        httpx.HTTPError: The registry refused it.
    """
    digest = oci.manifest_digest(layout)
    manifest = oci.blob(layout, digest).read_bytes()
    described = json.loads(manifest)
    for part in (described["config"], *described["layers"]):
        _push_blob(client, name, part["digest"], oci.blob(layout, part["digest"]))
    sent = client.put(f"/v2/{name}/manifests/{tag}", content=manifest, headers={"Content-Type": oci.MANIFEST_TYPE})
    sent.raise_for_status()


def _push_blob(client: httpx.Client, name: str, digest: str, file: Path) -> None:
    if client.head(f"/v2/{name}/blobs/{digest}").is_success:
        return
    begun = client.post(f"/v2/{name}/blobs/uploads/")
    begun.raise_for_status()
    location = httpx.URL(begun.headers["Location"]).copy_merge_params({"digest": digest})
    with file.open("rb") as source:
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(file.stat().st_size)}
        client.put(location, content=source, headers=headers).raise_for_status()


def main(arguments: list[str]) -> None:
    """Push every LAYOUT=NAME:TAG."""
    transport = httpx.HTTPTransport(retries=20)
    with httpx.Client(base_url=f"http://{ADDRESS}", transport=transport, timeout=60, trust_env=False) as client:
        for argument in arguments:
            layout, _, reference = argument.rpartition("=")
            name, _, tag = reference.rpartition(":")
            try:
                push(client, Path(layout), name, tag)
            except httpx.HTTPError as error:
                raise EngineError(f"the base image registry refused {reference}: {error}") from error


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except EngineError as failure:
        sys.exit(failure.message)
