"""Functions that prove what was built: unit tests, conformance."""

from __future__ import annotations

import os
from typing import Annotated

import dagger
from dagger import Doc, dag, function

from cowabungaai import checks, conformance
from cowabungaai.functions.base import Base, Models, Service, Suite
from cowabungaai.steps import for_each, step


class Proving(Base):
    """Unit tests and conformance."""

    @function
    async def test(self, service: Service) -> dagger.Directory:
        """Unit tests of a service inside its image: junit.xml, coverage.xml, pytest.txt."""
        async with step(f"test {service}"):
            return await checks.run_tests(await self._project(), service)

    @function
    async def test_all(self) -> dagger.Directory:
        """Unit tests of all services, a folder for each."""
        project = await self._project()

        async def one(name: str) -> dagger.Directory:
            return await checks.run_tests(project, name)

        # Tests of engines use two processors each, and tests of time need them.
        at_once = max(1, (os.cpu_count() or 1) // 2)
        output = dag.directory()
        for name, report in (await for_each("test", project.catalog.names, one, at_once)).items():
            output = output.with_directory(name, report)
        return output

    @function(cache="never")  # type: ignore[call-overload, untyped-decorator]  # overloads lack it
    async def conformance(
        self,
        suite: Suite,
        service: Annotated[str, Doc("A backend, as in `services`")] = "repeater",
        models_dir: Models = None,
    ) -> dagger.Directory:
        """The official client against the gateway and a backend: junit.xml, pytest.txt, conformance.json."""
        async with step(f"conformance of {service}"):
            return await conformance.run_suite(await self._project(), service, suite, models_dir)
