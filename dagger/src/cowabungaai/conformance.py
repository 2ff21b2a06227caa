# SPDX-License-Identifier: Apache-2.0
"""Runs the conformance suite, with the official client, against the gateway in front of a service."""

from __future__ import annotations

import secrets

import dagger
from dagger import dag

from cowabungaai import pytest_run
from cowabungaai.pytest_run import REPORT, Ran, arguments
from cowabungaai.sources import Project
from cowabungaai.stack import backend_of, gateway_of, new_admin_key, stack_with
from cowabungaai.wheels import BUILD_IMAGE, PLACED, packages_stage

SITE = "/site"
SUITE = "/tests/conformance"
HOST = "gateway"
TEST_SECONDS = 120


async def run_suite(
    project: Project, service: str, suite: dagger.Directory, brought: dagger.Directory | None = None
) -> Ran:
    """The suite's report on a service, as the gateway shows it.

    Args:
        project: Sources and catalog.
        service: A backend; its model has its name.
        suite: The folder with the tests and their requirements.lock.
        brought: A folder of models; else the backend serves its default model.

    Returns:
        What the run found; its report holds conformance.json besides, which counts by endpoint.

    Raises:
        CatalogError: The service is no backend.
    """
    spec = backend_of(project, service)
    key = await new_admin_key(project)
    gateway = (await stack_with(project, [service], key, brought)).as_service()
    port = gateway_of(project).port
    packages = packages_stage(project.source, suite.file("requirements.lock"))
    run = (
        dag.container()
        .from_(BUILD_IMAGE)
        .with_mounted_directory(SITE, packages.directory(PLACED))
        .with_mounted_directory(SUITE, suite)
        .with_directory(REPORT, dag.directory())
        .with_workdir(REPORT)
        .with_env_variable("PYTHONPATH", SITE)
        .with_env_variable("PYTHONDONTWRITEBYTECODE", "1")
        .with_service_binding(HOST, gateway)
        .with_env_variable("COWABUNGAAI_BASE_URL", f"http://{HOST}:{port}/openai/v1")
        .with_env_variable("COWABUNGAAI_MODEL", service)
        .with_env_variable("COWABUNGAAI_EXACT", "1" if spec.echoes else "0")
        .with_env_variable("COWABUNGAAI_REPORT", f"{REPORT}/conformance.json")
        .with_secret_variable("COWABUNGAAI_API_KEY", key)
        # Else the engine would give the answers of an earlier run.
        .with_env_variable("COWABUNGAAI_RUN", secrets.token_hex(8))
    )
    command = arguments(SUITE, "-ra", "--tb=short", "--strict-markers", f"--timeout={TEST_SECONDS}")
    return await pytest_run.run(run, service, command, "conformance.json")
