# SPDX-License-Identifier: Apache-2.0
"""Functions that look at the sources."""

from __future__ import annotations

from typing import Annotated

import dagger
from dagger import Doc, check, field, function, object_type

from cowabungaai import lint
from cowabungaai.functions.base import Base, Repository


@object_type
class Checks:
    """The checks of `lint`, a function each, which `dagger check` runs side by side."""

    repository: dagger.Directory = field()

    @function
    @check
    async def ruff(self) -> str:
        """Style of Python, and its layout."""
        return await self._run("ruff")

    @function
    @check
    async def mypy(self) -> str:
        """Types of every part, a service's with the libraries that it ships."""
        return await self._run("mypy")

    @function
    @check
    async def stubs(self) -> str:
        """Whether the gRPC stubs are those of the protocol's files."""
        return await self._run("stubs")

    @function
    @check
    async def contract(self) -> str:
        """Whether the protocol still understands what was released."""
        return await self._run("contract")

    @function
    @check
    async def locks(self) -> str:
        """Whether lock files hold what the services ask for."""
        return await self._run("locks")

    @function
    @check
    async def services(self) -> str:
        """Every service.yaml."""
        return await self._run("services")

    @function
    @check
    async def helm(self) -> str:
        """Charts with their values, by helm lint."""
        return await self._run("helm")

    @function
    @check
    async def kubeconform(self) -> str:
        """What charts render, against Kubernetes' own schemas."""
        return await self._run("kubeconform")

    @function
    @check
    async def zarf(self) -> str:
        """Every zarf.yaml, by zarf."""
        return await self._run("zarf")

    @function
    @check
    async def uds(self) -> str:
        """Every uds-bundle.yaml, against the schema of the UDS CLI, and the services of its variants."""
        return await self._run("uds")

    @function
    @check
    async def yaml(self) -> str:
        """YAML files, by yamllint: nothing that a reader of them would pass over in silence, such as a key twice."""
        return await self._run("yaml")

    @function
    @check
    async def hadolint(self) -> str:
        """Dockerfiles and Containerfiles, where there are any."""
        return await self._run("hadolint")

    @function
    @check
    async def actionlint(self) -> str:
        """Workflows of GitHub Actions."""
        return await self._run("actionlint")

    @function
    @check
    async def licences(self) -> str:
        """Whether every source file of ours begins with its licence."""
        return await self._run("licences")

    @function
    @check
    async def links(self) -> str:
        """Relative links and anchors of Markdown documents."""
        return await self._run("links")

    async def _run(self, group: str) -> str:
        return told(await lint.run_checks(self.repository, [group]))


def told(names: list[str]) -> str:
    """What people read where all is well."""
    return f"nothing found by {', '.join(names)}"


class Linting(Base):
    """Checks of the sources."""

    @function
    def checks(self, repository: Repository) -> Checks:
        """The checks one by one: `dagger check` runs all, `dagger check checks:ruff` one."""
        return Checks(repository=repository)  # type: ignore[call-arg]  # the decorator makes the constructor

    @function
    async def lint(
        self,
        repository: Repository,
        only: Annotated[list[str] | None, Doc("Only these checks, such as ruff, mypy or helm")] = None,
    ) -> str:
        """All checks side by side: of code, the contract, locks, charts, packages, bundles, workflows and documents."""
        return told(await lint.run_checks(repository, only or []))
