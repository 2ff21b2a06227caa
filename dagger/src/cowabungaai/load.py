# SPDX-License-Identifier: Apache-2.0
"""Runs the load test against the gateway in front of a service, and holds it to its limits."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass

import dagger
from dagger import dag

from cowabungaai.errors import TestFailureError
from cowabungaai.sources import Project
from cowabungaai.stack import METRICS_PORT, backend_of, gateway_of, new_admin_key, stack_with
from cowabungaai.wheels import BUILD_IMAGE, PLACED, packages_stage

SITE = "/site"
SUITE = "/tests/load"
REPORT = "/report"
HOST = "gateway"
OUTPUT = "load.txt"
FIGURES = "load.json"


@dataclass(frozen=True)
class Loaded:
    """A finished load test.

    Attributes:
        service: The backend.
        broken: A line for each limit that was not kept.
        report: load.json, load.txt, and a page for each scenario.
    """

    service: str
    broken: list[str]
    report: dagger.Directory

    def check(self) -> Loaded:
        """Itself.

        Raises:
            TestFailureError: A limit was not kept; the message tells each.
        """
        if self.broken:
            raise TestFailureError(
                "\n".join([f"load test of {self.service}: limits that were not kept:", *self.broken])
            )
        return self


async def run(
    project: Project,
    service: str,
    suite: dagger.Directory,
    thresholds: dagger.File | None = None,
    brought: dagger.Directory | None = None,
) -> Loaded:
    """Many clients at once.

    Args:
        project: Sources and catalog.
        service: A backend; its model has its name.
        suite: The folder with the test, its requirements.lock and thresholds.yaml.
        thresholds: Another file than that.
        brought: A folder of models; else the backend serves its default model.

    Raises:
        CatalogError: The service is no backend.
        TestFailureError: The test could not be run.
    """
    backend_of(project, service)
    key = await new_admin_key(project)
    stack = await stack_with(project, [service], key, brought)
    packages = packages_stage(project.source, suite.file("requirements.lock"))
    ran = (
        dag.container()
        .from_(BUILD_IMAGE)
        .with_mounted_directory(SITE, packages.directory(PLACED))
        .with_mounted_directory(SUITE, suite)
        .with_mounted_file("/thresholds.yaml", thresholds or suite.file("thresholds.yaml"))
        .with_directory(REPORT, dag.directory())
        .with_workdir(REPORT)
        .with_env_variable("PYTHONPATH", f"{SITE}:/tests")
        .with_env_variable("PYTHONDONTWRITEBYTECODE", "1")
        .with_service_binding(HOST, stack.as_service())
        .with_service_binding(service, stack.backends[service])
        .with_env_variable("COWABUNGAAI_URL", f"http://{HOST}:{gateway_of(project).port}")
        .with_env_variable("COWABUNGAAI_BACKEND_METRICS", f"http://{service}:{METRICS_PORT}/metrics")
        .with_env_variable("COWABUNGAAI_MODEL", service)
        .with_secret_variable("COWABUNGAAI_API_KEY", key)
        # Else the engine would give the answers of an earlier run.
        .with_env_variable("COWABUNGAAI_RUN", secrets.token_hex(8))
        .with_exec(
            ["python3", "-m", "load", REPORT, "/thresholds.yaml"],
            redirect_stdout=f"{REPORT}/{OUTPUT}",
            expect=dagger.ReturnType.ANY,
        )
    )
    code = await ran.exit_code()
    report = ran.directory(REPORT)
    written = FIGURES in await report.entries()
    broken = json.loads(await report.file(FIGURES).contents())["broken"] if written else []
    # It ends with 1 where a limit is not kept, and with nothing else once it has figures.
    if not written or code != (1 if broken else 0):
        raise TestFailureError(f"load test of {service} ended with exit code {code}: {await ran.stderr()}")
    return Loaded(service, broken, report)
