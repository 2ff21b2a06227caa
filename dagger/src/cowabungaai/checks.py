"""Runs a service's unit tests inside its image, as built."""

from __future__ import annotations

import dagger
from dagger import dag

from cowabungaai.catalog import ServiceSpec
from cowabungaai.errors import TestFailureError
from cowabungaai.images import USER, build_with
from cowabungaai.models import default_model
from cowabungaai.sources import Project
from cowabungaai.wheels import (
    BUILD_IMAGE,
    GPU_LOCK,
    LOCK,
    PLACED,
    SITE,
    code_stage,
    downloaded,
    packages_stage,
    split_lock,
    text_file,
)

# Python's user site, which may hold the .pth file by which coverage measures the processes that tests start.
USER_BASE = "/opt/test"
TEST_SITE = f"{USER_BASE}/lib/python3.13/site-packages"
OTHER_CODE = "/opt/other"
TEST_MODEL = "/models/test"
TEST_WHEELS = "/wheels"
TAIL_LINES = 40


async def run_tests(project: Project, name: str) -> dagger.Directory:
    """Unit tests in the built image; what they need besides is mounted beside it.

    Returns:
        A folder with junit.xml, coverage.xml and pytest.txt.

    Raises:
        TestFailureError: Tests failed; the message holds the end of pytest's output.
    """
    image = await build_with(project, project.catalog.get(name), LOCK)
    contained = {spec.name for spec in project.catalog.dependencies(name)}
    others = [spec for spec in project.catalog.dependencies(name, tests=True) if spec.name not in contained]
    tools = packages_stage(project.source, project.source.file(f"services/{name}/requirements-test.lock"))
    container = image.container.with_mounted_directory(TEST_SITE, tools.directory(PLACED), owner=USER)
    if image.spec.model:
        container = container.with_mounted_directory(TEST_MODEL, default_model(project, image.spec))
        container = container.with_env_variable("COWABUNGAAI_TEST_MODEL", TEST_MODEL)
    if image.spec.test_wheels:
        container = container.with_mounted_directory(TEST_WHEELS, await read_wheels(project, image.spec))
        container = container.with_env_variable("COWABUNGAAI_TEST_WHEELS", TEST_WHEELS)
    if others:
        code = code_stage(project.source, others).directory(PLACED)
        container = container.with_mounted_directory(OTHER_CODE, code).with_env_variable("PYTHONPATH", OTHER_CODE)
    tests = project.source.directory(f"services/{name}").filter(exclude=["src/**", "**/__pycache__"])
    run = (
        container.with_env_variable("PYTHONUSERBASE", USER_BASE)
        .with_env_variable("COVERAGE_FILE", "/report/.coverage")
        .with_env_variable("HOME", "/report")
        # Beside the tests, where it would be, nothing can be written.
        .with_env_variable("HYPOTHESIS_STORAGE_DIRECTORY", "/report/.hypothesis")
        .with_mounted_temp("/tmp")  # noqa: S108 - inside a container of its own
        .with_directory("/report", dag.directory(), owner=USER)
        # Programs that tests bring along, such as PostgreSQL's, start others by a shell; the image has none.
        .with_mounted_file("/usr/bin/sh", dag.container().from_(BUILD_IMAGE).file("/usr/bin/dash"))
        .with_mounted_directory(f"/tests/{name}", tests)
        .with_workdir(f"/tests/{name}")
        .with_exec(
            [
                "python3",
                "-m",
                "pytest",
                "-p",
                "no:cacheprovider",
                "--cov",
                "--cov-report=xml:/report/coverage.xml",
                "--junit-xml=/report/junit.xml",
                "tests",
            ],
            redirect_stdout="/report/pytest.txt",
            expect=dagger.ReturnType.ANY,
        )
    )
    if await run.exit_code() != 0:
        text = await run.file("/report/pytest.txt").contents() + await run.stderr()
        tail = "\n".join(text.splitlines()[-TAIL_LINES:])
        raise TestFailureError(f"unit tests of {name} failed in its image ({SITE}):\n{tail}")
    return run.directory("/report").filter(include=["junit.xml", "coverage.xml", "pytest.txt"])


async def read_wheels(project: Project, spec: ServiceSpec) -> dagger.Directory:
    """Wheels that a service's tests read as files.

    Args:
        project: Sources and catalog.
        spec: The service.
    """
    lock = await project.source.file(f"services/{spec.name}/{GPU_LOCK}").contents()
    entries, _ = split_lock(lock, spec.test_wheels)
    return downloaded(text_file(entries))
