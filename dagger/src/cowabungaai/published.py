# SPDX-License-Identifier: Apache-2.0
"""What publishing is to do, and what it did: tags, requests to the push program, the report."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from cowabungaai.errors import PublishError
from cowabungaai.push_messages import PushImage, PushOutcome, PushPlace, PushRegistry, PushRequest
from cowabungaai.registries import Registry
from cowabungaai.report import first_mistake

if TYPE_CHECKING:
    from cowabungaai.gates import Approved, Passed

SHA = re.compile(r"[0-9a-f]{7,40}")
# As in the distribution specification, "Pulling manifests".
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
LATEST = "latest"


class Place(BaseModel):
    """An image in one registry.

    Attributes:
        registry: The registry's name.
        reference: host/repository@digest, which always names these bytes.
        tagged: host/repository:tag@digest with the first of the tags; of these two the digest decides.
        tags: All that name the image there.
        bytes_sent: Bodies of all requests; less than the image where the registry had parts of it.
        requests: How many were made.
        failed: How many of them failed and were made again.
        seconds: How long it took.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    registry: str
    reference: str
    tagged: str
    tags: list[str]
    bytes_sent: int
    requests: int
    failed: int
    seconds: float


class PublishedGate(BaseModel):
    """A gate that the image passed, and what was seen."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    gate: str
    found: str


class PublishedImage(BaseModel):
    """An image and where it is.

    Attributes:
        service: The service's name.
        flavor: cpu or gpu.
        version: The service's.
        digest: Of the image's manifest, the same in all places.
        gates: What this digest passed before it was sent.
        places: Where it is.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    service: str
    flavor: str
    version: str
    digest: str
    gates: list[PublishedGate]
    places: list[Place]


class PublishReport(BaseModel):
    """A run of publish; `schema_version` changes when a reader must change."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = 1
    sha: str | None
    release: bool
    environment: str | None = None
    seconds: float
    images: list[PublishedImage]

    def references(self) -> list[str]:
        """All images in all places, each with tag and digest."""
        return [place.tagged for image in self.images for place in image.places]

    def by_name(self) -> dict[str, PublishedImage]:
        """Each image by its service, or service-flavor where that is not cpu."""
        return {
            image.service if image.flavor == "cpu" else f"{image.service}-{image.flavor}": image
            for image in self.images
        }


def parse_report(text: str, file: str) -> PublishReport:
    """A report that publish has left.

    Args:
        text: Of the file.
        file: Its name.

    Raises:
        PublishError: It is none, or names no image.
    """
    try:
        report = PublishReport.model_validate_json(text)
    except ValidationError as error:
        raise PublishError(
            f"{file}: expected the published.json that publish leaves; {first_mistake(error)}"
        ) from error
    if not report.images or not all(image.places for image in report.images):
        raise PublishError(f"{file}: expected images with the places that they were sent to, got none")
    return report


def check_sha(sha: str | None, *, tagged: bool) -> None:
    """Refuse a commit that is none, and a call that would leave images without a tag.

    Args:
        sha: The commit, 7 to 40 hexadecimal digits.
        tagged: Whether images have another tag: that of a release, or of an environment.

    Raises:
        PublishError: Neither is given, or the commit is no commit.
    """
    if sha is None and not tagged:
        raise PublishError("expected --sha COMMIT, whose tag the images get, --release, or --environment")
    if sha is not None and not SHA.fullmatch(sha):
        raise PublishError(f"--sha: expected 7 to 40 of 0-9 and a-f, a commit, got {sha!r}")


def tags_of(version: str, flavor: str, sha: str | None, *, release: bool, environment: Sequence[str] = ()) -> list[str]:
    """The tags of an image: the environment's and the commit's, version and latest with a release; gpu's end in -gpu.

    Args:
        version: The service's.
        flavor: cpu or gpu.
        sha: The commit.
        release: Whether this is a release.
        environment: Tags that an environment asks for.

    Raises:
        PublishError: The version makes no tag.
    """
    suffix = "" if flavor == "cpu" else f"-{flavor}"
    # A local part, which + begins, is allowed in versions, not in tags.
    versions = [version.replace("+", "-"), LATEST] if release else []
    wanted = (*versions[:1], *environment, *([sha] if sha else []), *versions[1:])
    tags = [f"{tag}{suffix}" for tag in dict.fromkeys(wanted)]
    for tag in tags:
        if not TAG.fullmatch(tag):
            raise PublishError(f"{tag!r} makes no tag of an image: expected letters, digits, . _ - and at most 128")
    return tags


def push_request(
    images: Mapping[str, tuple[str, list[str]]],
    registries: Sequence[Registry],
    credentials: Mapping[str, tuple[str, str]],
    layouts: str,
) -> PushRequest:
    """What the push program is told.

    Args:
        images: Service to digest and tags.
        registries: Where they go.
        credentials: Host to username and the path of the file with the password, of those that have any.
        layouts: Folder with an OCI layout for each service.
    """
    return PushRequest(
        registries=[
            PushRegistry(
                name=registry.name,
                host=registry.host,
                plain_http=registry.plain_http,
                username=credentials.get(registry.host, ("", ""))[0],
                password_file=credentials.get(registry.host, ("", ""))[1],
            )
            for registry in registries
        ],
        images=[
            PushImage(
                name=service,
                layout=f"{layouts}/{service}",
                digest=digest,
                places=[
                    PushPlace(registry=registry.name, repository=registry.repository(service), tags=tags)
                    for registry in registries
                ],
            )
            for service, (digest, tags) in images.items()
        ],
    )


def published(
    approved: Sequence[Approved], outcomes: Sequence[PushOutcome], registries: Sequence[Registry]
) -> list[PublishedImage]:
    """What was published, by image.

    Args:
        approved: All images.
        outcomes: What the push program did; what failed is left out.
        registries: Where they went.
    """
    hosts = {registry.name: registry.host for registry in registries}
    images = []
    for one in approved:
        candidate = one.candidate
        done = [outcome for outcome in outcomes if outcome.image == candidate.service and not outcome.error]
        images.append(
            PublishedImage(
                service=candidate.service,
                flavor=candidate.flavor,
                version=candidate.version,
                digest=candidate.digest,
                gates=[_gate(passed) for passed in one.passed],
                places=[_place(outcome, hosts[outcome.registry]) for outcome in done],
            )
        )
    return images


def _gate(passed: Passed) -> PublishedGate:
    return PublishedGate(gate=passed.gate, found=passed.found)


def _place(outcome: PushOutcome, host: str) -> Place:
    repository = f"{host}/{outcome.repository}"
    return Place(
        registry=outcome.registry,
        reference=f"{repository}@{outcome.digest}",
        tagged=f"{repository}:{outcome.tags[0]}@{outcome.digest}",
        tags=outcome.tags,
        bytes_sent=outcome.bytes_sent,
        requests=outcome.requests,
        failed=outcome.failed,
        seconds=round(outcome.seconds, 2),
    )


def failures(outcomes: Sequence[PushOutcome], images: Sequence[PublishedImage]) -> str:
    """What is told where something could not be sent: every failure, and what was published; empty where all was.

    Args:
        outcomes: What the push program did.
        images: What was published.
    """
    lines = [f"{outcome.image}: {outcome.error}" for outcome in outcomes if outcome.error]
    if not lines:
        return ""
    done = [f"published: {place.tagged}" for image in images for place in image.places]
    return "\n".join([*lines, *done, "Run it again: what the registries have is not sent again."])
