# SPDX-License-Identifier: Apache-2.0
"""What the pipeline and the push program (toolchain/go/push) tell each other."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PushRegistry(_Message):
    """A registry and where its credentials lie.

    Attributes:
        name: What messages call it.
        host: With its port, where it has one.
        plain_http: Whether it is spoken to without TLS.
        username: Of the credentials.
        password_file: Path of a file with a password or token; empty where nobody is logged in.
    """

    name: str
    host: str
    plain_http: bool = False
    username: str = ""
    password_file: str = ""


class PushPlace(_Message):
    """A repository of a registry, and the tags that an image gets there."""

    registry: str
    repository: str
    tags: list[str]


class PushImage(_Message):
    """An image in an OCI layout, and where it goes.

    Attributes:
        name: What messages call it.
        layout: The layout's folder.
        digest: Of the image's manifest.
        places: Where it goes.
    """

    name: str
    layout: str
    digest: str
    places: list[PushPlace]


class PushRequest(_Message):
    """What to send.

    Attributes:
        registries: All that images go to.
        images: All that are sent.
        at_once: How many images are sent side by side, counted once for each registry.
        attempts: How often a request is made before its failure is told.
        first_wait: Before the second attempt, in seconds; each later wait is twice as long.
        patience: How long a registry may not answer, or take nothing of what is sent, in seconds.
    """

    registries: list[PushRegistry]
    images: list[PushImage]
    at_once: int = 4
    attempts: int = 6
    first_wait: float = 0.5
    patience: float = 60


class PushOutcome(_Message):
    """What happened to an image in one place.

    Attributes:
        image: The image's name in the request.
        registry: The registry's name.
        repository: Without the host.
        digest: Of the image's manifest.
        tags: Those that name the image there now.
        bytes_sent: Bodies of all requests, also of those that failed.
        requests: How many were made.
        failed: How many of them failed; most were made again.
        seconds: How long it took.
        error: What went wrong; empty where nothing did.
    """

    image: str
    registry: str
    repository: str
    digest: str
    tags: list[str]
    bytes_sent: int
    requests: int
    failed: int
    seconds: float
    error: str


class PushAnswer(_Message):
    """What happened.

    Attributes:
        refused: A line for each registry that the credentials may not write to; where there is one, nothing was sent.
        outcomes: In the order of the request.
    """

    refused: list[str]
    outcomes: list[PushOutcome]
