# SPDX-License-Identifier: Apache-2.0
"""The catalog of services: what `services/*/service.yaml` says, checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field

from cowabungaai import yaml_files
from cowabungaai.errors import CatalogError
from cowabungaai.yaml_files import line_of

Kind = Literal["sdk", "gateway", "chat", "completion", "embeddings", "audio", "health"]
NOT_BACKENDS: tuple[Kind, ...] = ("sdk", "gateway", "health")
Flavor = Literal["cpu", "gpu"]
NAME = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
CPU = r"^[0-9]+(\.[0-9]+)?m?$"
MEMORY = r"^[0-9]+(Ki|Mi|Gi)$"
# Absolute, and normal: no empty, `.` or `..` part, none that a shell would read in its own way.
FOLDER = r"^(/[A-Za-z0-9_][A-Za-z0-9._-]*)+$"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ImageBudget(_Strict):
    """Limits of a service's image."""

    budget_mb: int = Field(
        gt=0, le=100_000, description="compressed size of the OCI archive, in megabytes (10^6 bytes)"
    )
    gpu_budget_mb: int | None = Field(
        default=None, gt=0, le=100_000, description="likewise, of the gpu flavor, if it has its own"
    )
    package_budget_mb: int | None = Field(
        default=None,
        gt=0,
        le=100_000,
        description="size of the Zarf package of the cpu flavor without weights, likewise; of gpu it is the image's",
    )
    room_mb: int | None = Field(
        default=None,
        gt=0,
        le=1_000_000,
        description="what the engine's disk must have free to build the gpu flavor, in megabytes",
    )

    def archive_field(self, flavor: str) -> str:
        """The field that bounds the archive of a flavor, cpu or gpu."""
        return "gpu_budget_mb" if flavor == "gpu" and self.gpu_budget_mb else "budget_mb"

    def package_field(self, flavor: str) -> str:
        """The field that bounds a package without weights, likewise."""
        # Beside gigabytes of CUDA's libraries, what a package has besides its image is nothing.
        return self.archive_field(flavor) if flavor == "gpu" else "package_budget_mb"

    def package_budget(self, flavor: str) -> int | None:
        """The most bytes that a package may have without weights, if that is bounded.

        Args:
            flavor: cpu or gpu.
        """
        megabytes: int | None = getattr(self, self.package_field(flavor))
        return megabytes * 1_000_000 if megabytes else None


class Resources(_Strict):
    """CPU in cores or millicores, memory in Ki, Mi or Gi, as Kubernetes writes them."""

    cpu: str = Field(pattern=CPU)
    memory: str = Field(pattern=MEMORY)


class ResourceBounds(_Strict):
    """What a service asks for and what it may use at most."""

    requests: Resources
    limits: Resources


class Compiled(_Strict):
    """Packages of a service's lock file that are compiled from their source distribution, in a stage of their own."""

    packages: list[Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]] = Field(min_length=1)
    environment: dict[str, str] = Field(default={}, description="variables of the build, such as CMAKE_ARGS")


class ModelFile(_Strict):
    """A file of a model, and where it lies in the wheels that bring it."""

    path: str = Field(min_length=1, description="below the model's folder")
    parts: list[str] = Field(default=[], description="paths in the wheels, joined in order; else wheel_folder/path")
    size: int = Field(ge=0, description="in bytes")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Model(_Strict):
    """Weights that a service serves by default; the wheels that bring them are in its model.lock."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    source: str = Field(min_length=1)
    licence: str = Field(min_length=1)
    owned_by: str = ""
    description: str = ""
    wheel_folder: str = Field(default="", description="where the wheels have the files that name no parts")
    files: list[ModelFile] = Field(min_length=1)
    settings: dict[str, str] = Field(default={}, description="the service's own settings for it, as variables")


class ServiceSpec(_Strict):
    """One service, as its service.yaml describes it."""

    name: str = Field(pattern=NAME)
    kind: Kind
    summary: str = Field(min_length=1)
    package: str = Field(pattern=r"^[a-z_][a-z0-9_]*$", description="Python import package")
    entrypoint: list[str] = Field(min_length=1, description="program and arguments, no shell")
    port: int = Field(ge=1024, le=65535, description="TCP port; an unprivileged one, since nothing runs as root")
    protocol: Literal["grpc", "http"]
    flavors: list[Flavor] = Field(min_length=1)
    depends_on: list[str] = []
    test_depends_on: list[str] = []
    test_wheels: list[str] = Field(
        default=[], description="packages of requirements-gpu.lock whose wheels tests read, but do not install"
    )
    system_packages: list[str] = []
    writable: list[Annotated[str, Field(pattern=FOLDER)]] = Field(
        default=[], description="folders that the service writes into, and that a volume is mounted on"
    )
    environment: dict[str, str] = Field(default={}, description="variables of the image")
    compiled: Compiled | None = None
    layers: list[list[str]] = Field(
        default=[], description="patterns of packages that have an image layer of their own, the heaviest first"
    )
    left_out: list[str] = Field(default=[], description="globs of installed packages' files that the image lacks")
    model: Model | None = None
    echoes: bool = Field(default=False, description="whether it answers with what it is asked, as tests then expect")
    image: ImageBudget
    resources: ResourceBounds

    @property
    def is_backend(self) -> bool:
        """Whether it serves models, to which the gateway sends what it is asked."""
        return self.kind not in NOT_BACKENDS


class Catalog:
    """All services, by name.

    Args:
        specs: The services.
        texts: Service to the content of its service.yaml, for the lines in messages.

    Raises:
        CatalogError: A service depends on one that does not exist, or on itself in a circle.
    """

    def __init__(self, specs: Iterable[ServiceSpec], texts: Mapping[str, str] | None = None) -> None:
        self._specs = {spec.name: spec for spec in sorted(specs, key=lambda spec: spec.name)}
        self._texts = texts or {}
        for spec in self._specs.values():
            self._check_dependencies(spec)

    def _check_dependencies(self, spec: ServiceSpec) -> None:
        tree = yaml.compose(self._texts.get(spec.name, ""), Loader=yaml.SafeLoader)
        for field in ("depends_on", "test_depends_on"):
            for number, needed in enumerate(getattr(spec, field)):
                where = f"services/{spec.name}/service.yaml:{line_of(tree, (field, number))}: {field}.{number}"
                if needed not in self._specs:
                    raise CatalogError(f"{where}: expected one of {', '.join(self.names)}, got {needed!r}")
                if field == "depends_on" and (path := self._path(needed, spec.name)):
                    circle = " → ".join((spec.name, *path))
                    raise CatalogError(f"{where}: services depend on each other in a circle: {circle}")

    def _path(self, start: str, goal: str, seen: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Services from one to another along depends_on; empty where there is no way."""
        if start == goal:
            return (goal,)
        if start in seen or start not in self._specs:
            return ()
        for needed in self._specs[start].depends_on:
            if path := self._path(needed, goal, (*seen, start)):
                return (start, *path)
        return ()

    @property
    def names(self) -> list[str]:
        """Names of all services, sorted."""
        return list(self._specs)

    def __iter__(self) -> Iterator[ServiceSpec]:
        return iter(self._specs.values())

    def get(self, name: str) -> ServiceSpec:
        """A service by name.

        Raises:
            CatalogError: There is none; the message lists those that are.
        """
        if name not in self._specs:
            raise CatalogError(f"no service is named {name!r}; the services are: {', '.join(self.names)}")
        return self._specs[name]

    def dependencies(self, name: str, *, tests: bool = False) -> list[ServiceSpec]:
        """Services whose code a service contains, in the order in which they are installed, itself last.

        Args:
            name: A service.
            tests: Whether what its tests need counts too.
        """
        ordered: dict[str, ServiceSpec] = {}

        def visit(current: str) -> None:
            spec = self.get(current)
            for needed in (*spec.depends_on, *(spec.test_depends_on if tests and current == name else ())):
                visit(needed)
            ordered.setdefault(current, spec)

        visit(name)
        return list(ordered.values())

    def with_flavor(self, flavor: str) -> list[str]:
        """Names of the services that have a flavor, sorted.

        Raises:
            CatalogError: None has it; the message lists those that there are.
        """
        found = [spec.name for spec in self if flavor in spec.flavors]
        if not found:
            raise CatalogError(f"no service has flavor {flavor!r}; the flavors are: {', '.join(get_args(Flavor))}")
        return found

    def check_flavor(self, name: str, flavor: str) -> ServiceSpec:
        """A service that has this flavor.

        Raises:
            CatalogError: It does not; the message lists those that it has.
        """
        spec = self.get(name)
        if flavor not in spec.flavors:
            raise CatalogError(f"service {name!r} has no flavor {flavor!r}; it has: {', '.join(spec.flavors)}")
        return spec


def parse(text: str, file: str) -> ServiceSpec:
    """Read a service.yaml.

    Args:
        text: Its content.
        file: Its path, for messages.

    Raises:
        CatalogError: It is not valid; the message has a line per mistake: file, line, field, what was expected.
    """
    spec = yaml_files.parse(text, file, ServiceSpec, CatalogError, "fields such as name, kind and port")
    folder = file.split("/")[-2] if "/" in file else spec.name
    if spec.name != folder:
        line = line_of(yaml.compose(text, Loader=yaml.SafeLoader), ("name",))
        raise CatalogError(f"{file}:{line}: name: expected {folder!r}, the folder's name, got {spec.name!r}")
    return spec
