# SPDX-License-Identifier: Apache-2.0
"""Runs a service's unit tests inside its image, as built."""

from __future__ import annotations

import os
from collections.abc import Sequence

import dagger
from dagger import dag

from cowabungaai import pytest_run
from cowabungaai.catalog import ServiceSpec
from cowabungaai.images import USER, BuiltImage, build, build_with
from cowabungaai.models import default_model
from cowabungaai.pytest_run import REPORT, Ran, arguments, ended_well, joined
from cowabungaai.sources import Project
from cowabungaai.steps import outcomes
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


async def run_tests(project: Project, name: str, flavor: str | None = None) -> Ran:
    """Unit tests in the built image; what they need besides is mounted beside it.

    Args:
        project: Sources and catalog.
        name: The service.
        flavor: cpu or gpu; where None, an image of what needs no GPU, also of a service that has the flavor gpu alone.

    Returns:
        What the run found; its report holds junit.xml, coverage.xml and pytest.txt.

    Raises:
        CatalogError: There is no such service or flavor.
        CannotBuildError: The engine's disk has no room for the image.
    """
    spec = project.catalog.get(name) if flavor is None else project.catalog.check_flavor(name, flavor)
    if flavor is None and "cpu" not in spec.flavors:
        return await run_in(project, await build_with(project, spec, LOCK, "tested"))
    return await run_in(project, await build(project, name, flavor or "cpu"))


async def run_in(project: Project, image: BuiltImage) -> Ran:
    """Unit tests in an image.

    Args:
        project: Sources and catalog.
        image: Of a service.
    """
    name = image.spec.name
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
        .with_env_variable("COVERAGE_FILE", f"{REPORT}/.coverage")
        .with_env_variable("HOME", REPORT)
        # Beside the tests, where it would be, nothing can be written.
        .with_env_variable("HYPOTHESIS_STORAGE_DIRECTORY", f"{REPORT}/.hypothesis")
        .with_mounted_temp("/tmp")  # noqa: S108 - inside a container of its own
        .with_directory(REPORT, dag.directory(), owner=USER)
        # Programs that tests bring along, such as PostgreSQL's, start others by a shell; the image has none.
        .with_mounted_file("/usr/bin/sh", dag.container().from_(BUILD_IMAGE).file("/usr/bin/dash"))
        .with_mounted_directory(f"/tests/{name}", tests)
        .with_workdir(f"/tests/{name}")
    )
    command = arguments("tests", "--cov", f"--cov-report=xml:{REPORT}/coverage.xml")
    return await pytest_run.run(run, name, command, "coverage.xml")


async def read_wheels(project: Project, spec: ServiceSpec) -> dagger.Directory:
    """Wheels that a service's tests read as files.

    Args:
        project: Sources and catalog.
        spec: The service.
    """
    lock = await project.source.file(f"services/{spec.name}/{GPU_LOCK}").contents()
    entries, _ = split_lock(lock, spec.test_wheels)
    return downloaded(text_file(entries))


async def run_all(project: Project, names: Sequence[str], exit_code: int = 1) -> dagger.Directory:
    """The reports of services' unit tests, a folder for each, and summary.json.

    Args:
        project: Sources and catalog.
        names: Of the services.
        exit_code: 0 if failed tests are no error, but only told in the report.

    Raises:
        TestFailureError: Tests of one or more services failed, or did not run; it tells of each.
    """

    async def one(name: str) -> Ran:
        return await run_tests(project, name)

    # Tests of engines use two processors each, and tests of time need them.
    ended = await outcomes("test", names, one, max(1, (os.cpu_count() or 1) // 2))
    return joined(ended_well(ended, f"unit tests failed in the services' images ({SITE})", exit_code=exit_code))
