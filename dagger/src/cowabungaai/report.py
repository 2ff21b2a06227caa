# SPDX-License-Identifier: Apache-2.0
"""The build report: what was built, how large it is, how long it took."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError

from cowabungaai.catalog import ServiceSpec
from cowabungaai.errors import BuildError


class ServiceReport(BaseModel):
    """One image.

    Attributes:
        service: The service's name.
        flavor: cpu or gpu.
        file: The archive, below images/.
        image: The name that the archive carries.
        digest: Of the image's manifest.
        size: Bytes of the archive, compressed.
        layers: How many layers it has.
        seconds: How long this run took to build and pack it.
        cached: Whether the engine had all stages of the image in its cache.
        drift: Debian packages of the image that are not as locked; none where the mirror still has the pinned versions.
    """

    model_config = ConfigDict(frozen=True)

    service: str
    flavor: str
    file: str
    image: str
    digest: str
    size: int
    layers: int
    seconds: float
    cached: bool
    drift: list[str]


class LeftOut(BaseModel):
    """A service with which something was not done, and why."""

    model_config = ConfigDict(frozen=True)

    service: str
    reason: str


class NotBuilt(LeftOut):
    """A service that was not built.

    Attributes:
        flavor: cpu or gpu.
        file: The archive that it would have been, below images/.
        lacking: Whether the machine lacks what building it takes; else the service has another flavor alone.
    """

    flavor: str
    file: str
    lacking: bool = False


class BuildReport(BaseModel):
    """A run of build-all; `schema_version` changes when a reader must change."""

    model_config = ConfigDict(frozen=True)

    schema_version: int = 1
    seconds: float
    services: list[ServiceReport]
    left_out: list[NotBuilt] = []


def first_mistake(error: ValidationError) -> str:
    """Where a file that should be a report is none, and why.

    Args:
        error: That reading it ended with.
    """
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}"


def archive_name(service: str, flavor: str) -> str:
    """The file of an image's archive, below images/.

    Args:
        service: The service's name.
        flavor: cpu or gpu.
    """
    return f"{service}.tar" if flavor == "cpu" else f"{service}-{flavor}.tar"


def check_budget(spec: ServiceSpec, flavor: str, size: int) -> None:
    """Refuse an image that is larger than its service.yaml allows.

    Args:
        spec: The service.
        flavor: cpu or gpu.
        size: Bytes of the archive.

    Raises:
        BuildError: It is too large.
    """
    budget = budget_of(spec, flavor)
    if size > budget:
        raise BuildError(
            f"image of {spec.name}: {size / 1e6:.1f} MB is over its budget of {budget / 1e6:.0f} MB "
            f"(image.{spec.image.archive_field(flavor)} in services/{spec.name}/service.yaml)"
        )


def budget_of(spec: ServiceSpec, flavor: str) -> int:
    """The most bytes that a service's archive may have.

    Args:
        spec: The service.
        flavor: cpu or gpu.
    """
    megabytes: int = getattr(spec.image, spec.image.archive_field(flavor))
    return megabytes * 1_000_000
