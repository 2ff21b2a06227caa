# SPDX-License-Identifier: Apache-2.0
"""Which images manifests shall name: those of a report of publish, and those of the command line."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from cowabungaai.errors import ManifestError
from cowabungaai.image_reference import ImageReference, full_name, parse_reference
from cowabungaai.published import PublishReport

GPU_SUFFIX = "-gpu"


@dataclass(frozen=True)
class Update:
    """An image that manifests shall name.

    Attributes:
        name: The repository that they name now, with its registry.
        target: What they shall name; has a digest.
        flavor: Where cpu or gpu, it is only for images whose tag does not end in -gpu, or does; None is for all.
    """

    name: str
    target: ImageReference
    flavor: str | None = None

    def names(self, repository: str) -> bool:
        """Whether it is for images of a repository."""
        # What has been moved to another repository stays up to date.
        return full_name(repository) in (self.name, full_name(self.target.repository))

    @property
    def moves(self) -> bool:
        """Whether images get another repository; all others keep theirs, since a digest is the same in every one."""
        return self.name != full_name(self.target.repository)

    def fits(self, tag: str) -> bool:
        """Whether it is for the flavor that a tag tells."""
        return self.flavor is None or self.flavor == ("gpu" if tag.endswith(GPU_SUFFIX) else "cpu")

    def mentioned(self, text: str) -> bool:
        """Whether a text may name images that it is for; most do not, and need no closer look."""
        names = (self.name, full_name(self.target.repository))
        return any(name.removeprefix("docker.io/").removeprefix("library/") in text for name in names)


def from_report(report: PublishReport, of_one_flavor: Collection[str] = ()) -> list[Update]:
    """Updates to what was published.

    Args:
        report: Of a run of publish.
        of_one_flavor: Services that have no other flavor, so that every image of theirs is meant.
    """
    found = [
        (None if image.service in of_one_flavor else image.flavor, parse_reference(place.tagged))
        for image in report.images
        for place in image.places
    ]
    return [Update(full_name(target.repository), target, flavor) for flavor, target in found if target is not None]


def from_argument(text: str) -> Update:
    """An update from `name=repository[:tag]@sha256:...`, or without the name where the repository stays.

    Raises:
        ManifestError: It is not written so.
    """
    name, _, reference = text.rpartition("=")
    target = parse_reference(reference)
    current = parse_reference(name) if name else target
    if target is None or target.digest is None or current is None or (name and (current.tag or current.digest)):
        raise ManifestError(
            f"--image: expected NAME=REPOSITORY[:TAG]@sha256:DIGEST, NAME without tag or digest, got {text!r}"
        )
    return Update(full_name(current.repository), target)


def check_updates(updates: Sequence[Update]) -> None:
    """Refuse updates of one image to two digests.

    Raises:
        ManifestError: There are such, or there are none at all.
    """
    if not updates:
        raise ManifestError("nothing to set: pass --images published.json, or --image NAME=REPOSITORY@sha256:DIGEST")
    seen: dict[tuple[str, str | None], ImageReference] = {}
    for update in updates:
        # By both names: the next run finds images by the new one.
        for name in (update.name, full_name(update.target.repository)):
            other = seen.setdefault((name, update.flavor), update.target)
            if other.digest != update.target.digest:
                raise ManifestError(f"{name} is given twice: {other} and {update.target}")
