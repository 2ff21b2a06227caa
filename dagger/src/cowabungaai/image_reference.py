# SPDX-License-Identifier: Apache-2.0
"""References to images, as manifests and registries write them."""

from __future__ import annotations

import re
from dataclasses import dataclass

DIGEST = r"sha256:[0-9a-f]{64}"
REFERENCE = re.compile(
    r"(?P<repository>[A-Za-z0-9][A-Za-z0-9._-]*(:[0-9]+(?=/))?(/[a-z0-9][a-z0-9._-]*)*)"
    r"(:(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?"
    rf"(@(?P<digest>{DIGEST}))?"
)
DOCKER_HUB = "docker.io"


@dataclass(frozen=True)
class ImageReference:
    """A reference.

    Attributes:
        repository: As it is written, such as ghcr.io/awdemos/cowabungaai/api or nginx.
        tag: Without the colon; None where there is none.
        digest: With sha256: in front; None where there is none.
    """

    repository: str
    tag: str | None = None
    digest: str | None = None

    def __str__(self) -> str:
        """As Kubernetes takes it; where there are both, the digest decides."""
        return f"{self.repository}{f':{self.tag}' if self.tag else ''}{f'@{self.digest}' if self.digest else ''}"


def parse_reference(text: str) -> ImageReference | None:
    """Read a reference; None where it is none, such as a placeholder of a template."""
    match = REFERENCE.fullmatch(text)
    return ImageReference(match["repository"], match["tag"], match["digest"]) if match else None


def full_name(repository: str) -> str:
    """A repository with its registry: what has none is of Docker Hub, as container engines have it.

    Args:
        repository: As it is written.
    """
    first, slash, rest = repository.partition("/")
    if not slash:
        return f"{DOCKER_HUB}/library/{repository}"
    if "." in first or ":" in first or first == "localhost":
        return f"{DOCKER_HUB}/{rest}" if first == "index.docker.io" else repository
    return f"{DOCKER_HUB}/{repository}"
