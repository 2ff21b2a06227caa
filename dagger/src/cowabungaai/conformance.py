"""Runs the conformance suite, with the official client, against the gateway in front of a service."""

from __future__ import annotations

import secrets

import dagger
from dagger import dag

from cowabungaai.errors import TestFailureError
from cowabungaai.sources import Project
from cowabungaai.stack import backend_of, gateway_of, gateway_with, new_admin_key
from cowabungaai.wheels import BUILD_IMAGE, PLACED, packages_stage

SITE = "/site"
SUITE = "/tests/conformance"
REPORT = "/report"
HOST = "gateway"
TEST_SECONDS = 120
TAIL_LINES = 40


async def run_suite(
    project: Project, service: str, suite: dagger.Directory, brought: dagger.Directory | None = None
) -> dagger.Directory:
    """The suite's report on a service, as the gateway shows it.

    Args:
        project: Sources and catalog.
        service: A backend; its model has its name.
        suite: The folder with the tests and their requirements.lock.
        brought: A folder of models; else the backend serves its default model.

    Returns:
        A folder with junit.xml, pytest.txt, and conformance.json, which counts by endpoint.

    Raises:
        CatalogError: The service is no backend.
        TestFailureError: Tests failed; the message holds the end of pytest's output.
    """
    backend_of(project, service)
    key = await new_admin_key(project)
    gateway = await gateway_with(project, [service], key, brought)
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
        .with_env_variable("COWABUNGAAI_REPORT", f"{REPORT}/conformance.json")
        .with_secret_variable("COWABUNGAAI_API_KEY", key)
        # Else the engine would give the answers of an earlier run.
        .with_env_variable("COWABUNGAAI_RUN", secrets.token_hex(8))
        .with_exec(
            [
                "python3",
                "-m",
                "pytest",
                "-ra",
                "--tb=short",
                "--strict-markers",
                "-p",
                "no:cacheprovider",
                f"--timeout={TEST_SECONDS}",
                f"--junit-xml={REPORT}/junit.xml",
                SUITE,
            ],
            redirect_stdout=f"{REPORT}/pytest.txt",
            expect=dagger.ReturnType.ANY,
        )
    )
    if await run.exit_code() != 0:
        text = await run.file(f"{REPORT}/pytest.txt").contents() + await run.stderr()
        tail = "\n".join(text.splitlines()[-TAIL_LINES:])
        raise TestFailureError(f"{service} does not conform:\n{tail}")
    return run.directory(REPORT).filter(include=["junit.xml", "conformance.json", "pytest.txt"])
