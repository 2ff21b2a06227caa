# SPDX-License-Identifier: Apache-2.0
"""Functions that prove what was built: unit tests, the whole stack, conformance, load."""

from __future__ import annotations

from typing import Annotated

import dagger
from dagger import Doc, function

from cowabungaai import checks, conformance, integration, load
from cowabungaai.functions.base import (
    Base,
    EndToEnd,
    ExitCode,
    LoadSuite,
    Models,
    Service,
    Suite,
)
from cowabungaai.steps import step
from cowabungaai.wheels import SITE

TestFlavor = Annotated[
    str | None, Doc("cpu or gpu; if none, what needs no GPU, also of a service that has the flavor gpu alone")
]
Backend = Annotated[str, Doc("A backend, as in `services`")]


class Proving(Base):
    """Unit tests, the whole stack, conformance and load."""

    @function(cache="never")  # type: ignore[call-overload, untyped-decorator]  # overloads lack it
    async def test(self, service: Service, flavor: TestFlavor = None, exit_code: ExitCode = 1) -> dagger.Directory:
        """Unit tests of a service inside its image: junit.xml, coverage.xml, pytest.txt, summary.json."""
        async with step(f"test {service}"):
            ran = await checks.run_tests(await self._project(), service, flavor)
            if exit_code:
                ran.check(f"unit tests of {service} failed in its image ({SITE})")
            return ran.report

    @function(cache="never")  # type: ignore[call-overload, untyped-decorator]  # overloads lack it
    async def test_all(self, exit_code: ExitCode = 1) -> dagger.Directory:
        """Unit tests of all services, a folder for each, and summary.json."""
        project = await self._project()
        return await checks.run_all(project, project.catalog.names, exit_code)

    @function(cache="never")  # type: ignore[call-overload, untyped-decorator]  # overloads lack it
    async def integration_test(
        self, suite: EndToEnd, backend: Backend = "repeater", exit_code: ExitCode = 1
    ) -> dagger.Directory:
        """Two replicas of the gateway, a backend and PostgreSQL, migrations on a filled database: junit.xml."""
        async with step("integration test"):
            ran = await integration.run_suite(await self._project(), suite, backend)
            return (ran.check("the whole stack fails") if exit_code else ran).report

    @function(cache="never")  # type: ignore[call-overload, untyped-decorator]  # overloads lack it
    async def conformance(
        self, suite: Suite, service: Backend = "repeater", models_dir: Models = None, exit_code: ExitCode = 1
    ) -> dagger.Directory:
        """The official client against the gateway and a backend: junit.xml, pytest.txt, conformance.json."""
        async with step(f"conformance of {service}"):
            ran = await conformance.run_suite(await self._project(), service, suite, models_dir)
            return (ran.check(f"{service} does not conform") if exit_code else ran).report

    @function(cache="never")  # type: ignore[call-overload, untyped-decorator]  # overloads lack it
    async def load_test(
        self,
        suite: LoadSuite,
        service: Backend = "repeater",
        thresholds: Annotated[dagger.File | None, Doc("Limits, in the form of tests/load/thresholds.yaml")] = None,
        models_dir: Models = None,
        exit_code: ExitCode = 1,
    ) -> dagger.Directory:
        """Many clients at once: load.json with percentiles, errors and memory, against limits; and a page of charts."""
        async with step(f"load test of {service}"):
            ran = await load.run(await self._project(), service, suite, thresholds, models_dir)
            return (ran.check() if exit_code else ran).report
