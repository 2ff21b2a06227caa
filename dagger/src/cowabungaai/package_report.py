# SPDX-License-Identifier: Apache-2.0
"""What packages hold, and how large they are against their budgets."""

from __future__ import annotations

import hashlib
import json

import yaml
from pydantic import BaseModel, ConfigDict

from cowabungaai.errors import BuildError
from cowabungaai.report import LeftOut

# Of a package that brings weights.
MODEL_COMPONENT = "model"
# Where a service has a file of this name, its package of the flavor gpu has it on top of the values that it names.
GPU_VALUES = "values/gpu.yaml"


class PackagedModel(BaseModel):
    """A model of a package.

    Attributes:
        id: By which requests choose it.
        licence: Of the weights.
        digest: Of the weights, in hexadecimal digits.
        image: The name of the image that holds them.
        size: Bytes of that image's archive; 0 where the package does not bring it.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    licence: str
    digest: str
    image: str
    size: int


class PackageReport(BaseModel):
    """A package.

    Attributes:
        service: The service's name.
        flavor: cpu or gpu.
        variant: upstream or hardened, Zarf's own flavor.
        file: The package's name.
        version: Of the package.
        size: Bytes of the package.
        image: The name of the service's image.
        image_digest: Of that image's manifest.
        model: That it serves, if it serves any.
        budget: The most bytes that it may have without weights; None where none is set.
        contents: As contents_digest has it; None where it was not worked out.
    """

    model_config = ConfigDict(frozen=True)

    service: str
    flavor: str
    variant: str
    file: str
    version: str
    size: int
    image: str
    image_digest: str
    model: PackagedModel | None
    budget: int | None
    contents: str | None = None

    @property
    def size_without_weights(self) -> int:
        """Bytes, less those of the model's image."""
        return self.size - (self.model.size if self.model else 0)


class PackagesReport(BaseModel):
    """A run of package-all; `schema_version` changes when a reader must change.

    Attributes:
        packages: All that were made.
        left_out: Services for which the machine lacks room or a wheel.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: int = 1
    packages: list[PackageReport]
    left_out: list[LeftOut] = []


def contents_digest(definition: str) -> str:
    """The digest of all that is in a package but for its build record: equal of packages that hold the same.

    zarf.yaml names the checksum of the list of all other files' checksums, so it stands for them. Its build record has
    the time, and is left out.

    Args:
        definition: The package's zarf.yaml.
    """
    described = yaml.safe_load(definition)
    described.pop("build", None)
    return f"sha256:{hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()}"


def check_package_budget(report: PackageReport, field: str) -> None:
    """Refuse a package that is larger than its service.yaml allows.

    Args:
        report: Of the package.
        field: Of `image` in service.yaml that says so.

    Raises:
        BuildError: It is too large.
    """
    if report.budget is not None and report.size_without_weights > report.budget:
        raise BuildError(
            f"package of {report.service}: {report.size_without_weights / 1e6:.1f} MB without weights is over its "
            f"budget of {report.budget / 1e6:.0f} MB: image.{field} in services/{report.service}/service.yaml"
        )
