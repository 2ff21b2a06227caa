# SPDX-License-Identifier: Apache-2.0
"""A function that looks again at what was sent to registries: what is known of vulnerabilities grows every day."""

from __future__ import annotations

from typing import Annotated

import dagger
from dagger import Doc, dag, function

from cowabungaai import scan_run
from cowabungaai.functions.base import ExitCode
from cowabungaai.functions.publishing import Publishing
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
from cowabungaai.published import parse_report
from cowabungaai.steps import step
from cowabungaai.vulnerability_db import CACHE


class Rescanning(Publishing):
    """Scans of published images."""

    @function(cache="never")  # type: ignore[call-overload, untyped-decorator]  # overloads lack it
    async def scan_published(
        self,
        published: Annotated[dagger.File, Doc("The published.json that publish-all left")],
        ignore_file: IgnoreFile,
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
        """Trivy on images as they are in registries, by their digests: reports as those of scan-all."""
        database = (db, db_ref, db_username, db_password, max_db_age)
        settings = await scan_settings(severity, ignore_file, exit_code, database, via=db_via, cache=db_cache)
        async with step("read published.json"):
            report = parse_report(await published.contents(), await published.name())
        registries = dag.container()
        for one in self.registry_auth:
            registries = registries.with_registry_auth(one.address, one.username, one.secret)
        images = {name: (image.service, image.places[0].reference) for name, image in report.by_name().items()}
        return await scan_run.scan_published(self.source, images, registries, settings)
