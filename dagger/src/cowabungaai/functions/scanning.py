# SPDX-License-Identifier: Apache-2.0
"""Functions that look for what may not be in images and sources, and list what is in images."""

from __future__ import annotations

from typing import Annotated

import dagger
from dagger import DefaultPath, Doc, Ignore, function

from cowabungaai import ignores, sbom_run, scan_run
from cowabungaai.errors import ScanError
from cowabungaai.findings import parse_severities
from cowabungaai.functions.base import Base, ExitCode, Flavor, Service
from cowabungaai.report import LeftOut
from cowabungaai.scan_run import Settings
from cowabungaai.vulnerability_db import CACHE, Wanted, parse_age

Severity = Annotated[str, Doc("What fails: of UNKNOWN, LOW, MEDIUM, HIGH, CRITICAL, separated by commas")]
DatabaseFile = Annotated[
    dagger.File | None, Doc("The vulnerability database: a tar.gz with trivy.db and metadata.json at its top")
]
DatabaseReference = Annotated[str | None, Doc("Or the mirror that has it, such as registry.example/trivy-db:2")]
DatabaseUser = Annotated[str | None, Doc("Name for that registry")]
DatabasePassword = Annotated[dagger.Secret | None, Doc("Password for that registry, such as env:NAME")]
DatabaseVia = Annotated[
    dagger.Service | None,
    Doc("A registry that only this machine reaches, tcp://127.0.0.1:5000, for --db-ref local:5000/trivy-db:2"),
]
DatabaseCache = Annotated[
    str, Doc("The cache volume that keeps what --db-ref fetched, and is used alone where no database is given")
]
MaxAge = Annotated[str, Doc("How old the database may be, such as 7d or 168h")]
IgnoreFile = Annotated[
    dagger.File, Doc("Findings that are accepted, with reason and date"), DefaultPath("/security/ignore.yaml")
]
Tree = Annotated[
    dagger.Directory,
    Doc("All of the repository"),
    DefaultPath("/"),
    Ignore([".git", "dist", "dagger/sdk", "**/__pycache__", "**/.*_cache", "**/.hypothesis", "**/.venv"]),
]


async def scan_settings(
    severity: str,
    ignore_file: dagger.File,
    exit_code: int,
    database: tuple[dagger.File | None, str | None, str | None, dagger.Secret | None, str],
    *,
    via: dagger.Service | None = None,
    cache: str = CACHE,
) -> Settings:
    """The arguments, checked before anything is built."""
    file, reference, username, password, max_age = database
    if exit_code not in (0, 1):
        raise ScanError(f"--exit-code: expected 0 or 1, got {exit_code}")
    severities = parse_severities(severity)
    wanted = Wanted(file, reference, username, password, parse_age(max_age), via, cache)
    entries = ignores.parse(await ignore_file.contents(), await ignore_file.name())
    return Settings(severities, tuple(entries), wanted, exit_code)


class Scanning(Base):
    """Vulnerabilities, secrets, misconfigurations and licences; bills of materials."""

    @function(cache="never")  # type: ignore[call-overload, untyped-decorator]  # overloads lack it
    async def scan(
        self,
        service: Service,
        ignore_file: IgnoreFile,
        *,
        flavor: Flavor = "cpu",
        severity: Severity = "CRITICAL,HIGH",
        db: DatabaseFile = None,
        db_ref: DatabaseReference = None,
        db_username: DatabaseUser = None,
        db_password: DatabasePassword = None,
        db_via: DatabaseVia = None,
        db_cache: DatabaseCache = CACHE,
        max_db_age: MaxAge = "7d",
        exit_code: ExitCode = 1,
    ) -> dagger.Directory:
        """Trivy on a service's image: <service>/report.json, report.sarif, table.txt; summary.json, index.html."""
        database = (db, db_ref, db_username, db_password, max_db_age)
        settings = await scan_settings(severity, ignore_file, exit_code, database, via=db_via, cache=db_cache)
        project = await self._project()
        name = project.catalog.check_flavor(service, flavor).name
        return await scan_run.scan_images(project, [name], flavor, settings)

    @function(cache="never")  # type: ignore[call-overload, untyped-decorator]  # overloads lack it
    async def scan_all(
        self,
        ignore_file: IgnoreFile,
        *,
        flavor: Annotated[str, Doc("cpu or gpu; services that lack it are left out")] = "cpu",
        services: Annotated[list[str] | None, Doc("Only these")] = None,
        severity: Severity = "CRITICAL,HIGH",
        db: DatabaseFile = None,
        db_ref: DatabaseReference = None,
        db_username: DatabaseUser = None,
        db_password: DatabasePassword = None,
        db_via: DatabaseVia = None,
        db_cache: DatabaseCache = CACHE,
        max_db_age: MaxAge = "7d",
        exit_code: ExitCode = 1,
    ) -> dagger.Directory:
        """Trivy on the images of all services, a folder for each; all are told of before the call fails."""
        database = (db, db_ref, db_username, db_password, max_db_age)
        settings = await scan_settings(severity, ignore_file, exit_code, database, via=db_via, cache=db_cache)
        project = await self._project()
        catalog = project.catalog
        names = [catalog.check_flavor(name, flavor).name for name in services or catalog.with_flavor(flavor)]
        left_out = [
            LeftOut(service=spec.name, reason=f"it has the flavor {' and '.join(spec.flavors)} alone")
            for spec in catalog
            if spec.name not in names
        ]
        return await scan_run.scan_images(project, names, flavor, settings, None if services else left_out)

    @function(cache="never")  # type: ignore[call-overload, untyped-decorator]  # overloads lack it
    async def scan_source(
        self,
        ignore_file: IgnoreFile,
        tree: Tree,
        *,
        severity: Severity = "CRITICAL,HIGH",
        db: DatabaseFile = None,
        db_ref: DatabaseReference = None,
        db_username: DatabaseUser = None,
        db_password: DatabasePassword = None,
        db_via: DatabaseVia = None,
        db_cache: DatabaseCache = CACHE,
        max_db_age: MaxAge = "7d",
        exit_code: ExitCode = 1,
    ) -> dagger.Directory:
        """Trivy on the repository: lock files, secrets, charts and licences, in a folder named source."""
        database = (db, db_ref, db_username, db_password, max_db_age)
        settings = await scan_settings(severity, ignore_file, exit_code, database, via=db_via, cache=db_cache)
        return await scan_run.scan_tree(self.source, tree, settings)

    @function
    async def sbom(self, service: Service, flavor: Flavor = "cpu") -> dagger.Directory:
        """A service's bills of materials, checked to be complete: <service>.spdx.json, <service>.cdx.json."""
        project = await self._project()
        return await sbom_run.make(project, [project.catalog.check_flavor(service, flavor).name], flavor)

    @function
    async def sbom_all(
        self,
        flavor: Annotated[str, Doc("cpu or gpu; services that lack it have none")] = "cpu",
        services: Annotated[list[str] | None, Doc("Only these")] = None,
    ) -> dagger.Directory:
        """Bills of materials of the images of all services."""
        catalog = (project := await self._project()).catalog
        names = [catalog.check_flavor(name, flavor).name for name in services or catalog.with_flavor(flavor)]
        return await sbom_run.make(project, names, flavor)
