# SPDX-License-Identifier: Apache-2.0
"""What a go.mod names: tools, modules that are required, and what replaces them (https://go.dev/ref/mod#go-mod-file)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

# What Go itself writes behind modules that the code does not import.
INDIRECT = re.compile(r"indirect(;|$)")


@dataclass(frozen=True)
class Module:
    """A module in a version; a folder that stands for one has its path, and no version."""

    path: str
    version: str = ""

    def holds(self, package: str) -> bool:
        """Whether a package is in it, as far as its name tells."""
        return package == self.path or package.startswith(f"{self.path}/")


@dataclass
class GoMod:
    """A go.mod.

    Attributes:
        name: The module's own path.
        tools: Packages of the programs that `go tool` knows.
        required: Modules, and whether each is only there because another one needs it, or for a tool.
        replaced: By what; a module without a version stands for all its versions.
    """

    name: str = ""
    tools: list[str] = field(default_factory=list)
    required: dict[Module, bool] = field(default_factory=dict)
    replaced: dict[Module, Module] = field(default_factory=dict)

    def pinned(self) -> list[Module]:
        """The modules that are required for themselves or for a tool, or what replaces them.

        Raises:
            LookupError: A tool's module is not required.
        """
        chosen = [module for module, indirect in self.required.items() if not indirect]
        own = Module(self.name)
        chosen += [self._module_of(tool) for tool in self.tools if not own.holds(tool)]
        return list(dict.fromkeys(self._compiled(module) for module in chosen))

    def _module_of(self, tool: str) -> Module:
        holding = [module for module in self.required if module.holds(tool)]
        if not holding:
            raise LookupError(f"no module with the tool {tool} is required")
        return max(holding, key=lambda module: len(module.path))

    def _compiled(self, module: Module) -> Module:
        return self.replaced.get(module) or self.replaced.get(Module(module.path)) or module


def parse(text: str) -> GoMod:
    """Read a go.mod.

    Args:
        text: Its content.
    """
    read = GoMod()
    for keyword, words, comment in _directives(text):
        match keyword, words:
            case "module", [name]:
                read.name = name
            case "tool", [package]:
                read.tools.append(package)
            case "require", [path, version]:
                read.required[Module(path, version)] = bool(INDIRECT.match(comment))
            case "replace", [*old, "=>", path]:
                read.replaced[Module(*old)] = Module(path)
            case "replace", [*old, "=>", path, version]:
                read.replaced[Module(*old)] = Module(path, version)
    return read


def _directives(text: str) -> Iterator[tuple[str, list[str], str]]:
    """Keyword, words and comment of each line; those of a block have the block's keyword."""
    block = ""
    for line in text.splitlines():
        code, _, comment = line.partition("//")
        words = code.replace("(", " ( ").split()
        if words[1:] == ["("]:
            block = words[0]
        elif words == [")"]:
            block = ""
        elif words:
            keyword, *rest = [block, *words] if block else words
            yield keyword, rest, comment.strip()
