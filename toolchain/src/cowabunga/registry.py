# SPDX-License-Identifier: Apache-2.0
"""A registry in the network namespace of a container, such as the engine's mirror of docker.io, and how it is filled.

It listens on the loopback of that namespace, out of the machine's reach, so the launcher runs this module inside of it:
`python -m cowabunga.registry LAYOUT=NAME:TAG ...`.
"""

from __future__ import annotations

import json
import secrets
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx

from cowabunga import oci
from cowabunga.container import Container, Mount
from cowabunga.paths import make_run_home
from cowabunga.process import capture, need

ADDRESS = "127.0.0.1:5000"
UNPRIVILEGED = 65532
REFUSED, NO_ANSWER = 10, 11
# Waits between attempts double, from half a second: they end before the time for everything is over.
CONNECTIONS = 8
FILL_SECONDS = 120


def run_files(name: str) -> tuple[str, str]:
    """What a registry's container has in the run directory besides its own folder: its root, and its configuration."""
    return f"{name}-root", f"{name}.yml"


def contained(name: str, program: Path, data: Path, pid: int) -> Container:
    """A registry as a container without any right.

    Args:
        name: Of the container.
        program: The registry.
        data: Folder of what it holds; made where it is missing.
        pid: A process of the network namespace in which it listens.
    """
    root, configuration = (make_run_home() / file for file in run_files(name))
    for path in (*(root / part for part in ("proc", "dev", "sys", "run", "tmp", "data", "etc")), data):
        path.mkdir(parents=True, exist_ok=True)
    shutil.chown(data, UNPRIVILEGED, UNPRIVILEGED)
    for part in ("registry", "etc/registry.yml"):
        (root / part).touch()
    configuration.write_text(
        json.dumps(
            {
                "version": 0.1,
                "log": {"level": "warn"},
                "storage": {"filesystem": {"rootdirectory": "/data"}},
                "http": {"addr": ADDRESS, "secret": secrets.token_hex(32)},
            }
        )
    )
    return Container(
        name=name,
        rootfs=root,
        arguments=["/registry", "serve", "/etc/registry.yml"],
        mounts=[
            Mount(program, "/registry"),
            Mount(configuration, "/etc/registry.yml"),
            Mount(data, "/data", writable=True),
        ],
        environment=["OTEL_TRACES_EXPORTER=none"],
        user=UNPRIVILEGED,
        network=Path(f"/proc/{pid}/ns/net"),
    )


def fill(pid: int, references: Sequence[str]) -> tuple[int, str]:
    """Push layouts into the registry of a network namespace; exit code and what was said.

    Args:
        pid: A process of the namespace.
        references: LAYOUT=NAME:TAG of each.

    Returns:
        0; REFUSED where the registry did not take one, which may be damaged; any other where it did not answer.
    """
    inside = [need("nsenter"), f"--net=/proc/{pid}/ns/net", sys.executable, "-m", "cowabunga.registry"]
    code, told = capture([*inside, *references], timeout=FILL_SECONDS)
    return code, told or f"no answer within {FILL_SECONDS} s"


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


def main(arguments: list[str]) -> int:
    """Push every LAYOUT=NAME:TAG; the exit code, as `fill` has it."""
    transport = httpx.HTTPTransport(retries=CONNECTIONS)
    with httpx.Client(base_url=f"http://{ADDRESS}", transport=transport, timeout=60, trust_env=False) as client:
        for argument in arguments:
            layout, _, reference = argument.rpartition("=")
            name, _, tag = reference.rpartition(":")
            try:
                push(client, Path(layout), name, tag)
            except httpx.HTTPStatusError as error:
                print(f"the registry refused {reference}: {error}", file=sys.stderr)
                return REFUSED
            except httpx.HTTPError as error:
                print(f"the registry did not answer: {error}", file=sys.stderr)
                return NO_ANSWER
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
