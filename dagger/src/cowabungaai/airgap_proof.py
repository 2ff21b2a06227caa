# SPDX-License-Identifier: Apache-2.0
"""Installs a bundle in a container without a network, and proves that it answers, by the programs of `airgap`."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import Any

import dagger
from dagger import dag

from cowabungaai import pages
from cowabungaai.errors import ProofError
from cowabungaai.scan import uploaded
from cowabungaai.sources import Project
from cowabungaai.tools import go_tool
from cowabungaai.wheels import BUILD_IMAGE, PLACED, packages_stage, with_debian

PROGRAMS = "src/airgap"
SITE = "/site"
SUITE = "/tests/conformance"
REPORT = "/report"
TEMPLATE = "airgap_page.html.j2"
TOOLS = ("zarf", "helm", "registry")


@dataclass(frozen=True)
class Proved:
    """What became of a bundle.

    Attributes:
        report: proof.json, index.html, the suites' reports and all logs.
        told: The content of proof.json.
    """

    report: dagger.Directory
    told: dict[str, Any]

    def check(self) -> Proved:
        """Itself.

        Raises:
            ProofError: The bundle was not installed, or does not answer as it must.
        """
        if not self.told["passed"]:
            raise ProofError(f"airgap-proof: {self.told['failure']}")
        return self


async def prove(project: Project, bundle: dagger.File, suite: dagger.Directory) -> Proved:
    """Install a bundle and ask it, with nothing but the bundle, the tools and the suite.

    Args:
        project: Sources and catalog.
        bundle: That uds made.
        suite: The conformance suite.

    Raises:
        ProofError: The proof itself could not run.
    """
    container = with_debian(dag.container().from_(BUILD_IMAGE), "crun", "iproute2", "mount", "zstd")
    for tool in TOOLS:
        container = container.with_mounted_file(f"/usr/local/bin/{tool}", await go_tool(project.source, tool))
    packages = packages_stage(project.source, suite.file("requirements.lock"))
    exact = [f"--exact={spec.name}" for spec in project.catalog if spec.echoes]
    file = f"/bundle/{await bundle.name()}"
    run = (
        container.with_mounted_directory(SITE, packages.directory(PLACED))
        .with_mounted_directory("/programs/airgap", dag.current_module().source().directory(PROGRAMS))
        .with_mounted_directory(SUITE, suite)
        .with_mounted_file(file, bundle)
        .with_env_variable("PYTHONPATH", f"/programs:{SITE}")
        # Whether it works is asked anew each time.
        .with_env_variable("COWABUNGAAI_RUN", secrets.token_hex(8))
        .with_exec(
            ["unshare", "--net", "--mount", "python", "-m", "airgap.prove", file, REPORT, SUITE, *exact],
            insecure_root_capabilities=True,
            expect=dagger.ReturnType.ANY,
        )
    )
    await run.exit_code()
    report = run.directory(REPORT)
    try:
        told = json.loads(await report.file("proof.json").contents())
    except dagger.QueryError as error:
        raise ProofError(f"airgap-proof did not come to an end: {await run.stderr()}") from error
    page = pages.render(TEMPLATE, title="Installed without a network", proof=told)
    return Proved(report.with_file("index.html", uploaded(page, "index.html")), told)
