# SPDX-License-Identifier: Apache-2.0
"""Whether what is built here is what another machine built of the same sources, as its report has it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError, computed_field

from cowabungaai.errors import ReproductionError
from cowabungaai.package_report import PackageReport
from cowabungaai.packages import UPSTREAM
from cowabungaai.report import LeftOut, first_mistake

REPORTS = "build-report.json, packages.json, published.json or release-report.json"


class ReportedImage(BaseModel):
    """Of an image what all reports tell.

    Attributes:
        service: The service's name.
        flavor: cpu or gpu.
        digest: Of the image's manifest.
    """

    model_config = ConfigDict(frozen=True)

    service: str
    flavor: str
    digest: str


class Elsewhere(BaseModel):
    """What build-all, package-all, publish-all or release left on another machine; each has its own of these lists.

    Attributes:
        services: Images of build-report.json and release-report.json.
        images: Those of published.json.
        packages: Of packages.json and release-report.json.
    """

    model_config = ConfigDict(frozen=True)

    services: list[ReportedImage] = []
    images: list[ReportedImage] = []
    packages: list[PackageReport] = []

    def comparable_images(self) -> list[ReportedImage]:
        """Each image once, those of packages, too."""
        packaged = [
            ReportedImage(service=one.service, flavor=one.flavor, digest=one.image_digest)
            for one in self.packages
            if one.variant == UPSTREAM
        ]
        return list(dict.fromkeys([*self.services, *self.images, *packaged]))

    def comparable_packages(self) -> list[PackageReport]:
        """All of which nothing speaks against it."""
        return [one for one in self.packages if not _obstacle(one)]

    def left_out(self) -> list[LeftOut]:
        """Packages that cannot be compared, with the reasons."""
        return [LeftOut(service=one.service, reason=reason) for one in self.packages if (reason := _obstacle(one))]


def _obstacle(package: PackageReport) -> str:
    """Why a package cannot be compared; empty where it can."""
    if package.variant != UPSTREAM:
        return "it stands on somebody's own base, which the report does not name"
    if package.contents is None:
        return "its report has no digest of its contents; those of package-all and release have one"
    return ""


class Artifact(BaseModel):
    """An image or a package, there and here.

    Attributes:
        kind: Which of both.
        service: The service's name.
        flavor: cpu or gpu.
        expected: The digest that the report has: of an image's manifest, or of a package's contents.
        built: The one that this machine's has.
        cached: Whether the engine had all stages of the image in its cache: if it made what the report tells of, this
            shows nothing.
    """

    model_config = ConfigDict(frozen=True)

    kind: Literal["image", "package"]
    service: str
    flavor: str
    expected: str
    built: str
    cached: bool

    @computed_field  # type: ignore[prop-decorator]  # pydantic's documented way
    @property
    def same(self) -> bool:
        """Whether both are equal."""
        return self.expected == self.built

    @property
    def name(self) -> str:
        """As messages have it."""
        return f"{self.kind} {self.service}" + ("" if self.flavor == "cpu" else f" ({self.flavor})")


class Reproduction(BaseModel):
    """A comparison; `schema_version` changes when a reader must change.

    Attributes:
        passed: Whether all are the same.
        seconds: How long it took.
        artifacts: What was compared.
        left_out: What could not be.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: int = 1
    passed: bool
    seconds: float
    artifacts: list[Artifact]
    left_out: list[LeftOut]


def parse(text: str, file: str) -> Elsewhere:
    """A report of another machine.

    Args:
        text: Of the file.
        file: Its name.

    Raises:
        ReproductionError: It is none, or names nothing that could be compared.
    """
    try:
        told = Elsewhere.model_validate_json(text)
    except ValidationError as error:
        raise ReproductionError(f"{file}: expected {REPORTS}; {first_mistake(error)}") from error
    images = [(one.service, one.flavor) for one in told.comparable_images()]
    if not images:
        nothing = f"{file}: expected {REPORTS} with something to compare, got none"
        raise ReproductionError("\n".join([nothing, *(f"{one.service}: {one.reason}" for one in told.left_out())]))
    packages = [(one.service, one.flavor) for one in told.comparable_packages()]
    for kind, names in (("image", images), ("package", packages)):
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            raise ReproductionError(f"{file}: it has two digests for the {kind} of {twice[0][0]} ({twice[0][1]})")
    return told


def summary(artifacts: Sequence[Artifact]) -> list[str]:
    """What is told of each, a line each.

    Args:
        artifacts: What was compared.
    """
    lines = []
    for one in artifacts:
        if one.same:
            cached = ", out of this engine's cache" if one.cached else ""
            lines.append(f"{one.name}: the same, {one.built}{cached}")
        else:
            lines.append(f"{one.name}: expected {one.expected}, got {one.built}")
    return lines


def check(artifacts: Sequence[Artifact]) -> None:
    """Refuse what differs.

    Args:
        artifacts: What was compared.

    Raises:
        ReproductionError: Something does; the message tells all.
    """
    if all(one.same for one in artifacts):
        return
    raise ReproductionError(
        "\n".join(
            [
                "what is built here is not what the report tells of:",
                *summary(artifacts),
                "Are these the sources of that commit, and is this a processor of the same kind?",
                "Did models of yours take part, by --models-dir? They are needed here, too.",
                "Of two packages `courier diff` tells what differs.",
            ]
        )
    )
