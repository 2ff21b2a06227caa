# SPDX-License-Identifier: Apache-2.0
"""The function that makes a release: everything that the others do, in one graph."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

import dagger
from dagger import Doc, dag, function

from cowabungaai import airgap_proof as airgap
from cowabungaai import bundles, checks, conformance, integration, release, release_report, sbom_run, scan_run, signing
from cowabungaai.functions.base import EndToEnd, Models, Suite
from cowabungaai.functions.building import Building
from cowabungaai.functions.reporting import judged
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
    Tree,
    scan_settings,
)
from cowabungaai.package_report import PackagesReport
from cowabungaai.pytest_run import Ran, ended_well
from cowabungaai.sources import Project
from cowabungaai.steps import for_each, outcomes, step
from cowabungaai.vulnerability_db import CACHE

# Of what is proved by asking it; for that a service of the flavor gpu needs a GPU, which no container here is given.
FLAVOR = "cpu"
# How much of a release's evidence is gathered at once: suites of engines use two processors each.
SIDE_BY_SIDE = 2


class Releasing(Building):
    """Releases."""

    @function(cache="never")  # type: ignore[call-overload, untyped-decorator]  # overloads lack it
    async def release(
        self,
        suite: Suite,
        stack: EndToEnd,
        tree: Tree,
        ignore_file: IgnoreFile,
        key: Annotated[dagger.Secret, Doc("Private key, such as file:cosign.key, of `courier keygen`")],
        *,
        key_password: Annotated[dagger.Secret | None, Doc("Its password, such as env:COSIGN_PASSWORD")] = None,
        version: Annotated[str, Doc("Of the bundles; the gateway's by default")] = "",
        sha: Annotated[str, Doc("The commit, for provenance and report")] = "",
        services: Annotated[list[str] | None, Doc("Only these, and of bundles only these")] = None,
        bundle: Annotated[list[str] | None, Doc("Folders below bundles/; latest by default")] = None,
        models_dir: Models = None,
        attachments: Annotated[
            dagger.Directory | None,
            Doc("What else is signed and goes along, such as reports of other runs: files and folders, no links"),
        ] = None,
        severity: Severity = "CRITICAL,HIGH",
        db: DatabaseFile = None,
        db_ref: DatabaseReference = None,
        db_username: DatabaseUser = None,
        db_password: DatabasePassword = None,
        db_via: DatabaseVia = None,
        db_cache: DatabaseCache = CACHE,
        max_db_age: MaxAge = "7d",
    ) -> dagger.Directory:
        """Build, test, scan, package, sign, bundle, verify, install without a network: all, in a folder for media.

        It is of the flavor cpu. What needs GPUs is made by package-all, bundle with --key, and sign; it is not proved.
        """
        database = (db, db_ref, db_username, db_password, max_db_age)
        settings = await scan_settings(severity, ignore_file, 1, database, via=db_via, cache=db_cache)
        signature = signing.Signature(key, key_password)
        signing.check_commit(sha)
        if attachments is not None:
            await release.check_attachments(attachments)
        project = await self._project()
        names = services or project.catalog.with_flavor(FLAVOR)
        backends = [name for name in names if project.catalog.get(name).is_backend]
        wanted = [await bundles.chosen(project, one, FLAVOR, version, services) for one in bundle or ["latest"]]
        for chosen in wanted:
            bundles.check_provable(project, chosen)
        async with step("open the signing key"):
            await signing.check_key(self.source, signature)

        built = await self.build_all(FLAVOR, services)
        results = dag.directory().with_file("build-report.json", built.file("build-report.json"))
        results = results.with_directory("tests", await checks.run_all(project, names))
        evidence: dict[str, Callable[[], Awaitable[dagger.Directory]]] = {
            "scan": lambda: scan_run.scan_images(project, names, FLAVOR, settings),
            "scan-source": lambda: scan_run.scan_tree(self.source, tree, settings),
            "sbom": lambda: sbom_run.make(project, names, FLAVOR),
            "conformance": lambda: _conformance(project, backends, suite, models_dir),
            "integration": lambda: _integration(project, stack),
        }
        # Not beside the unit tests, some of which are about time.
        for name, found in (await for_each("release", evidence, lambda name: evidence[name](), SIDE_BY_SIDE)).items():
            results = results.with_directory(name, found)

        packaged = await release.packages(project, names, wanted, FLAVOR, models_dir)
        made = await release.made(project, packaged, wanted, signature)
        proofs = dag.directory()
        for one in made.bundles:
            async with step(f"install {one.path} without a network"):
                proved = (await airgap.prove(project, one.file, suite)).check()
                proofs = proofs.with_directory(one.proof, proved.report)
        told = PackagesReport(packages=[one.report for one in packaged.values()])
        results = results.with_new_file("packages.json", told.model_dump_json(indent=2) + "\n")
        report, reports = await judged(project, results, sha or None, backends)
        release_report.check(report)
        folder = (
            made.folder.with_directory("report", reports)
            .with_directory("scan", results.directory("scan"))
            .with_directory("scan-source", results.directory("scan-source"))
            .with_directory("sbom", results.directory("sbom"))
            .with_directory("/", proofs)
            .with_directory("/", release.instructions(made, wanted[0].version, attached=attachments is not None))
        )
        if attachments is not None:
            folder = folder.with_directory("attachments", attachments)
        parameters = {
            "flavor": FLAVOR,
            "services": names,
            "bundles": [one.name for one in wanted],
            "version": wanted[0].version,
            "models": "brought" if models_dir else "default",
            "severity": severity,
            "max_db_age": max_db_age,
        }
        async with step("sign, and verify as an operator does"):
            return await signing.sign(self.source, folder, signature, parameters, sha)

    @function
    def release_assets(self, files: Annotated[dagger.Directory, Doc("That `release` made")]) -> dagger.Directory:
        """A release as a list of files, as GitHub keeps: packages, bundles, provenance; all else is release.tar.gz."""
        return release.assets(files)


async def _integration(project: Project, stack: dagger.Directory) -> dagger.Directory:
    """Of the whole stack with the backend that echoes."""
    echo = next(spec.name for spec in project.catalog if spec.echoes)
    return (await integration.run_suite(project, stack, echo)).check("the whole stack fails").report


async def _conformance(
    project: Project, names: list[str], suite: dagger.Directory, models: dagger.Directory | None
) -> dagger.Directory:
    """A folder for each of these backends; one that does not conform hides none of the others."""

    async def one(name: str) -> Ran:
        return await conformance.run_suite(project, name, suite, models)

    # One after the other: engines use all processors.
    ended = ended_well(await outcomes("conformance of", names, one, at_once=1), "backends do not conform")
    output = dag.directory()
    for name, ran in ended.items():
        output = output.with_directory(name, ran.report)
    return output
