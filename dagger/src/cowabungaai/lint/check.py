# SPDX-License-Identifier: Apache-2.0
"""What a check is, and how checks are chosen by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cowabungaai.errors import StepError

LINTERS = "toolchain/requirements/lint.lock"


@dataclass(frozen=True)
class ModuleFile:
    """A file that a Go module carries.

    Attributes:
        folder: Below toolchain/go, whose go.mod and go.sum pin the module.
        module: The Go module's path.
        path: The file's, inside the module.
    """

    folder: str
    module: str
    path: str

    @property
    def mounted(self) -> str:
        """Where a check finds it."""
        return f"/modules/{self.path.rpartition('/')[2]}"


@dataclass(frozen=True)
class Check:
    """A check that is a program, or several.

    Attributes:
        name: What people see; the first word is its group, which is what `dagger check` lists.
        needs: Patterns of the files that it reads; the engine runs it again only where one of these has changed.
        commands: Programs with their arguments; they run at the root of the repository, each even if one before it
            found something. A program that found something ends with another code than 0.
        packages: Lock files of the Python packages that it needs, whose programs are on PATH; where two name the same
            package, the first counts.
        imports: Folders of the repository from which its Python imports.
        tools: Tools of the toolchain that are on PATH.
        files: What it reads besides, out of Go modules.
    """

    name: str
    needs: tuple[str, ...]
    commands: tuple[tuple[str, ...], ...]
    packages: tuple[str, ...] = (LINTERS,)
    imports: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    files: tuple[ModuleFile, ...] = ()


def group(name: str) -> str:
    """A check's group."""
    return name.partition(" ")[0]


def chosen(names: Iterable[str], only: Sequence[str]) -> list[str]:
    """Those checks that people asked for.

    Args:
        names: Of all checks.
        only: Names of checks or of groups; none means all.

    Raises:
        StepError: One of them is not known; the message lists those that are.
    """
    known = list(names)
    for one in only:
        if one not in known and one not in map(group, known):
            groups = dict.fromkeys(name for known_name in known for name in (group(known_name), known_name))
            raise StepError(f"no check is named {one!r}; the checks are: {', '.join(groups)}")
    return [name for name in known if not only or name in only or group(name) in only]
