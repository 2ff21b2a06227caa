# SPDX-License-Identifier: Apache-2.0
"""What a module's author takes for granted: images by name, packages, the machine's certificate authorities."""

from __future__ import annotations

import pytest
from harness import Run

from cowabunga.host import CERTIFICATES


def in_container(dagger: Run, image: str, *command: str) -> str:
    """Output of a program in a container from an image."""
    arguments = [f"--args={','.join(command)}"]
    finished = dagger("core", "container", "from", f"--address={image}", "with-exec", *arguments, "stdout")
    assert finished.returncode == 0, finished.stderr
    output: str = finished.stdout
    return output


@pytest.mark.parametrize(
    "image", ["debian:trixie-slim", "debian:13-slim", "python:3.13-slim", "python:3.13-slim-trixie"]
)
def test_base_images_have_the_official_names(dagger: Run, image: str) -> None:
    assert in_container(dagger, image, "cat", "/etc/debian_version").startswith("13.")


def test_python_has_pip_and_is_not_externally_managed(dagger: Run) -> None:
    assert "six" in in_container(dagger, "python:3.13-slim", "pip", "install", "--no-deps", "--dry-run", "six")


def test_debian_installs_packages(dagger: Run) -> None:
    script = "apt-get update -q && apt-get install -q -y --no-install-recommends netbase"
    assert "netbase" in in_container(dagger, "debian:trixie-slim", "sh", "-ec", script)


@pytest.mark.skipif(not list(CERTIFICATES.glob("*.crt")), reason="this machine has no certificate authority of its own")
def test_the_machines_certificate_authorities_reach_containers(dagger: Run) -> None:
    bundle = in_container(dagger, "debian:trixie-slim", "cat", "/etc/ssl/certs/ca-certificates.crt")
    flat = "".join(bundle.split())
    for certificate in CERTIFICATES.glob("*.crt"):
        assert "".join(certificate.read_text().split()) in flat, certificate.name


def test_an_unknown_image_is_told_by_name(dagger: Run) -> None:
    finished = dagger("core", "container", "from", "--address=no-such-image:1", "stdout")
    assert finished.returncode != 0
    assert "no-such-image" in finished.stderr
