# SPDX-License-Identifier: Apache-2.0
"""Functions that send images to registries."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Self

import dagger
from dagger import Doc, dag, field, function, object_type

from cowabungaai import environments, gates, registries
from cowabungaai.environments import Environment
from cowabungaai.errors import PublishError
from cowabungaai.functions.base import Base, Flavor, Service
from cowabungaai.functions.scanning import (
    DatabaseCache,
    DatabaseFile,
    DatabasePassword,
    DatabaseReference,
    DatabaseUser,
    DatabaseVia,
    IgnoreFile,
    MaxAge,
    Severity,
    scan_settings,
)
from cowabungaai.images import version_of
from cowabungaai.publish import Credentials, Targets, check_targets, push
from cowabungaai.published import PublishReport, check_sha, tags_of
from cowabungaai.scan_run import Settings
from cowabungaai.sources import Project
from cowabungaai.stack import gateway_of
from cowabungaai.vulnerability_db import CACHE

Registries = Annotated[
    list[str] | None,
    Doc("Names of registries.yaml (ghcr, dockerhub, gitlab), or host/prefix; all that have a name by default"),
]
Sha = Annotated[str | None, Doc("The commit, 7 to 40 hexadecimal digits; every image gets it as a tag")]
Release = Annotated[bool, Doc("Set the tags of the service's version and latest, too")]
# Text, since an enum of Dagger's has no value that stands for none.
ForEnvironment = Annotated[
    str,
    Doc(
        "development, staging or production: its tags of environments.yaml are set, too, and its policy takes the place"
        " of --severity and --max-db-age"
    ),
]
Via = Annotated[
    dagger.Service | None,
    Doc("A registry that only this machine reaches, tcp://127.0.0.1:5000; --registries local:5000/prefix names it"),
]


@object_type
class RegistryAuth:
    """Credentials for one registry."""

    address: str = field()
    username: str = field()
    secret: dagger.Secret = field()


@dataclass(frozen=True)
class Tagging:
    """By what images are tagged, and what they must pass for that.

    Attributes:
        sha: The commit.
        release: Whether version and latest are tags.
        environment: Whose tags they get, and whose policy counts; none where it is empty.
    """

    sha: str | None
    release: bool
    environment: str

    @cached_property
    def described(self) -> Environment | None:
        """What environments.yaml says of the environment."""
        return environments.named(self.environment) if self.environment else None

    def policy(self, severity: str, max_db_age: str) -> tuple[str, str]:
        """What a scan fails on, and how old its database may be: the environment's, else what is asked for."""
        if self.described is None:
            return severity, max_db_age
        return self.described.policy.severity, self.described.policy.max_db_age

    def check(self) -> None:
        """Refuse a commit that is none, and what would leave images without a tag."""
        check_sha(self.sha, tagged=self.release or bool(self.environment))

    def tags(self, candidate: gates.Candidate) -> list[str]:
        """Of an image."""
        asked = self.described.tags_for(candidate.version, self.sha) if self.described else []
        return tags_of(candidate.version, candidate.flavor, self.sha, release=self.release, environment=asked)


class Publishing(Base):
    """Images in registries."""

    registry_auth: list[RegistryAuth]

    @function
    def with_registry_auth(
        self,
        address: Annotated[str, Doc("The registry's host, such as ghcr.io")],
        username: Annotated[str, Doc("Of the account; any where the secret is a token that names its own")],
        secret: Annotated[dagger.Secret, Doc("Password or token, such as env:NAME or file:PATH")],
    ) -> Self:
        """The same pipeline with credentials for one more registry; publish comes after it."""
        host = registries.check_host(address)
        added = RegistryAuth(address=host, username=username, secret=secret)  # type: ignore[call-arg]  # made by the decorator
        self.registry_auth = [*(one for one in self.registry_auth if one.address != host), added]
        return self

    @function
    async def check_tag(self, tag: Annotated[str, Doc("Of the release, such as v1.2.3")]) -> str:
        """The sources' version; a tag that is not v and that version is refused, before anything is published."""
        project = await self._project()
        version = await version_of(project.source, gateway_of(project).name)
        if tag != f"v{version}":
            raise PublishError(
                f"--tag: expected v{version}, the gateway's version in its pyproject.toml, got {tag!r}; "
                "tag the commit that has the version"
            )
        return version

    @function(cache="never")  # type: ignore[call-overload, untyped-decorator]  # overloads lack it
    async def publish(
        self,
        service: Service,
        ignore_file: IgnoreFile,
        *,
        flavor: Flavor = "cpu",
        registries: Registries = None,
        sha: Sha = None,
        release: Release = False,
        environment: ForEnvironment = "",
        via: Via = None,
        severity: Severity = "CRITICAL,HIGH",
        db: DatabaseFile = None,
        db_ref: DatabaseReference = None,
        db_username: DatabaseUser = None,
        db_password: DatabasePassword = None,
        db_via: DatabaseVia = None,
        db_cache: DatabaseCache = CACHE,
        max_db_age: MaxAge = "7d",
    ) -> dagger.Directory:
        """Send an image to registries once its unit tests and scan have passed: published.json, references.txt."""
        tagging = Tagging(sha, release, environment)
        severity, max_db_age = tagging.policy(severity, max_db_age)
        database = (db, db_ref, db_username, db_password, max_db_age)
        settings = await scan_settings(severity, ignore_file, 1, database, via=db_via, cache=db_cache)
        targets = self._targets(registries, via)
        project = await self._project()
        return await _publish(project, [service], flavor, targets=targets, settings=settings, tagging=tagging)

    @function(cache="never")  # type: ignore[call-overload, untyped-decorator]  # overloads lack it
    async def publish_all(
        self,
        ignore_file: IgnoreFile,
        *,
        flavor: Annotated[str, Doc("cpu or gpu; services that lack it are left out")] = "cpu",
        services: Annotated[list[str] | None, Doc("Only these")] = None,
        registries: Registries = None,
        sha: Sha = None,
        release: Release = False,
        environment: ForEnvironment = "",
        via: Via = None,
        severity: Severity = "CRITICAL,HIGH",
        db: DatabaseFile = None,
        db_ref: DatabaseReference = None,
        db_username: DatabaseUser = None,
        db_password: DatabasePassword = None,
        db_via: DatabaseVia = None,
        db_cache: DatabaseCache = CACHE,
        max_db_age: MaxAge = "7d",
    ) -> dagger.Directory:
        """Send the images of all services to registries; nothing is sent unless every one has passed tests and scan."""
        tagging = Tagging(sha, release, environment)
        severity, max_db_age = tagging.policy(severity, max_db_age)
        database = (db, db_ref, db_username, db_password, max_db_age)
        settings = await scan_settings(severity, ignore_file, 1, database, via=db_via, cache=db_cache)
        targets = self._targets(registries, via)
        project = await self._project()
        names = services or project.catalog.with_flavor(flavor)
        return await _publish(project, names, flavor, targets=targets, settings=settings, tagging=tagging)

    def _targets(self, asked: list[str] | None, via: dagger.Service | None) -> Targets:
        credentials = [Credentials(one.address, one.username, one.secret) for one in self.registry_auth]
        resolved = registries.resolve(asked, bound=via is not None)
        used = [one for one in credentials if one.host in {registry.host for registry in resolved}]
        return Targets(tuple(resolved), tuple(used), via)


async def _publish(
    project: Project,
    services: Sequence[str],
    flavor: str,
    *,
    targets: Targets,
    settings: Settings,
    tagging: Tagging,
) -> dagger.Directory:
    """Everything that can be wrong in the call is told first, then access, then gates; only then is something sent."""
    started = time.time()
    tagging.check()
    if "CRITICAL" not in settings.severities:
        raise PublishError("--severity: CRITICAL keeps an image back in any case; name it, too")
    names = list(dict.fromkeys(project.catalog.check_flavor(name, flavor).name for name in services))
    await check_targets(project.source, targets, names)

    async def build(name: str) -> gates.Candidate:
        candidate = await gates.candidate_of(project, name, flavor)
        tagging.tags(candidate)
        return candidate

    approved = await gates.approve(names, build, gates.gates_of(project, settings))
    images = await push(project.source, targets, approved, tagging.tags)
    report = PublishReport(
        sha=tagging.sha,
        release=tagging.release,
        environment=tagging.environment.lower() or None,
        seconds=round(time.time() - started, 2),
        images=images,
    )
    listed = "".join(f"{reference}\n" for reference in report.references())
    print(listed, end="")
    return (
        dag.directory()
        .with_new_file("published.json", report.model_dump_json(indent=2) + "\n")
        .with_new_file("references.txt", listed)
    )
