"""Functions that look at the sources."""

from __future__ import annotations

from dagger import check, function

from cowabungaai import lint
from cowabungaai.functions.base import Base, Repository


class Linting(Base):
    """Checks of the sources."""

    @function
    @check
    async def lint(self, repository: Repository) -> str:
        """Style, types, stubs, contract, lock files and service.yaml files, all side by side."""
        return f"nothing found by {', '.join(await lint.run_checks(repository))}"
