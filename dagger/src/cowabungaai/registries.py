# SPDX-License-Identifier: Apache-2.0
"""Registries that images go to: those of registries.yaml by name, others by host and prefix."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files

from pydantic import BaseModel, ConfigDict, Field

from cowabungaai import yaml_files
from cowabungaai.errors import PublishError

# The name of a server that only the caller's machine reaches: a registry, or one of Git.
BOUND_HOST = "local"
HOST = r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?"
# As in the distribution specification, "Pulling manifests".
PATH = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*"
FILE = "registries.yaml"
ADDRESS = re.compile(rf"(?P<host>{HOST})/(?P<prefix>{PATH})")
BUNDLES = "bundles"
DOCKER_HUB = "docker.io"
DOCKER_HUB_NAMES = (DOCKER_HUB, "index.docker.io", "registry-1.docker.io")


class _Known(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    host: str = Field(pattern=rf"^{HOST}$")
    prefix: str = Field(pattern=rf"^{PATH}$")


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    registries: list[_Known] = Field(min_length=1)


@dataclass(frozen=True)
class Registry:
    """A place for images.

    Attributes:
        name: What messages and credentials call it.
        host: With its port, where it has one.
        prefix: What comes before a service's name in a repository.
        plain_http: Whether it is spoken to without TLS, which only a registry bound to the call is.
    """

    name: str
    host: str
    prefix: str
    plain_http: bool = False

    @property
    def address(self) -> str:
        """Host and prefix."""
        return f"{self.host}/{self.prefix}"

    def repository(self, service: str) -> str:
        """A service's repository, without the host."""
        return f"{self.prefix}/{service}"

    def of_bundles(self) -> Registry:
        """The place for bundles: below bundles/, or beside the images on Docker Hub, which has no deeper paths."""
        return self if self.host == DOCKER_HUB else replace(self, prefix=f"{self.prefix}/{BUNDLES}")


def known(text: str | None = None) -> list[Registry]:
    """Registries that have a name.

    Args:
        text: What to read instead of registries.yaml.
    """
    content = text if text is not None else files("cowabungaai").joinpath(FILE).read_text()
    described = yaml_files.parse(content, FILE, _File, PublishError, "registries with name, host and prefix")
    return [Registry(entry.name, canonical(entry.host), entry.prefix) for entry in described.registries]


def canonical(host: str) -> str:
    """A host as it is compared: Docker Hub has several names."""
    return DOCKER_HUB if host.lower() in DOCKER_HUB_NAMES else host.lower()


def resolve(
    asked: Sequence[str] | None, registries: Iterable[Registry] | None = None, *, bound: bool = False
) -> list[Registry]:
    """The registries that a call names.

    Args:
        asked: Names, or addresses as host/prefix; all that have a name where nothing is asked for.
        registries: Those that have a name; of registries.yaml where None.
        bound: Whether the host `local` is there: a registry that the caller hands over by --via.

    Returns:
        Each once, in the order asked for.

    Raises:
        PublishError: There is no such registry; the message lists those that are.
    """
    named = {registry.name: registry for registry in (registries if registries is not None else known())}
    found: dict[str, Registry] = {}
    mistakes: list[str] = []
    for text in asked or list(named):
        registry = named.get(text) or _addressed(text)
        if registry is None:
            listed = ", ".join(f"{one.name} ({one.address})" for one in named.values())
            mistakes.append(
                f"no registry is named {text!r}; the registries are: {listed}; "
                "any other is given as host/prefix, such as registry.example.com/team"
            )
        elif registry.plain_http and not bound:
            mistakes.append(
                f"registry {text!r}: the host {BOUND_HOST!r} is the one that --via binds; "
                "pass --via tcp://127.0.0.1:PORT as well"
            )
        else:
            found.setdefault(registry.address, registry)
    if bound and not mistakes and not any(registry.plain_http for registry in found.values()):
        mistakes.append(f"--via binds a registry that is not asked for; name it: --registries {BOUND_HOST}:PORT/prefix")
    if mistakes:
        raise PublishError("\n".join(mistakes))
    return list(found.values())


def _addressed(text: str) -> Registry | None:
    match = ADDRESS.fullmatch(text)
    if match is None:
        return None
    host = canonical(match["host"])
    is_bound = host.split(":")[0] == BOUND_HOST
    # Without a dot or a port the first part is no host, but part of a path.
    if not is_bound and "." not in host and ":" not in host:
        return None
    return Registry(text, host, match["prefix"], plain_http=is_bound)


def check_host(address: str) -> str:
    """The host that credentials are for, as it is compared.

    Args:
        address: A host, with its port where it has one.

    Raises:
        PublishError: It is something else.
    """
    if not re.fullmatch(HOST, address):
        raise PublishError(f"address of a registry: expected a host such as ghcr.io or local:5000, got {address!r}")
    return canonical(address)
