# SPDX-License-Identifier: Apache-2.0
"""The charts of packages, and how each is rendered."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from linters.finding import Finding

VARIABLE = re.compile(r"###ZARF_VAR_(\w+)###")
# How Helm names a place: the chart's name, the file, the line, the column; or only a file.
PLACE = re.compile(r"(?:[\w.-]+/(?=templates/)|cannot load )(?P<file>[\w/-]+\.\w+)(?::(?P<line>\d+))?")
# In a template it is the line of what that renders, which is near.
YAML_LINE = re.compile(r"yaml: line (\d+)")
HINT = "Use --debug flag to render out invalid YAML"


@dataclass(frozen=True)
class Rendering:
    """A chart with values.

    Attributes:
        chart: Its folder, below the root of the repository.
        values: Files of values, the last of which wins.
        defaults: What the package's variables are where nobody sets them; None leaves them as they are written.
    """

    chart: str
    values: tuple[str, ...]
    defaults: Mapping[str, str] | None = None

    def options(self, scratch: Path) -> list[str]:
        """Of helm, which name the values.

        Args:
            scratch: A folder for values in which variables of the package are replaced.
        """
        if self.defaults is None:
            return [f"--values={file}" for file in self.values]
        replaced = []
        for number, file in enumerate(self.values):
            copy = scratch / f"{number}.yaml"
            copy.write_text(VARIABLE.sub(lambda found: (self.defaults or {}).get(found[1], ""), Path(file).read_text()))
            replaced.append(f"--values={copy}")
        return replaced

    def finding(self, message: str, file: str = "Chart.yaml", line: int = 1) -> Finding:
        """What is wrong with it; the place that Helm names in the message counts more than the one given."""
        if place := PLACE.search(message):
            file, line = place["file"], int(place["line"] or line)
        if inside := YAML_LINE.search(message):
            line = int(inside[1])
        told = f" (with {', '.join(self.values)}" if self.values else ""
        told += (" and the variables' defaults)" if self.defaults is not None else ")") if told else ""
        return Finding(f"{self.chart}/{file}", line, " ".join(message.replace(HINT, "").split()) + told)


def renderings(root: Path) -> Iterator[Rendering]:
    """Every way in which every chart below packages/ is rendered.

    A chart is rendered as its zarf.yaml does it, and then with each other file of values on top of that; with variables
    of the package as they are written, which stand for any text, and with their defaults.

    Args:
        root: Of the repository.
    """
    for file in sorted(root.glob("packages/*/chart/Chart.yaml")):
        folder = file.parents[1]
        chart = str(file.parent.relative_to(root))
        bases, defaults = _read_zarf(folder)
        used = {name for base in bases for name in base}
        others = [
            name for name in sorted(f"values/{one.name}" for one in folder.glob("values/*.yaml")) if name not in used
        ]
        first = bases[0] if bases else ()
        chosen = [*bases, *((*first, other) for other in others)] or [()]
        for values in chosen:
            files = tuple(f"{folder.relative_to(root)}/{name}" for name in values)
            yield Rendering(chart, files)
            if any(VARIABLE.search((folder / name).read_text()) for name in values):
                yield Rendering(chart, files, defaults)


def _read_zarf(folder: Path) -> tuple[list[tuple[str, ...]], dict[str, str]]:
    """What a package's zarf.yaml says of its chart.

    Returns:
        The files of values, once for each different choice, and the variables' defaults.
    """
    try:
        package: Any = yaml.safe_load((folder / "zarf.yaml").read_text())
        charts = [chart for component in package["components"] for chart in component.get("charts", [])]
        chosen = [tuple(chart.get("valuesFiles", ())) for chart in charts if chart.get("localPath") == "chart"]
        defaults = {one["name"]: str(one.get("default", "")) for one in package.get("variables", [])}
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError):
        return [], {}  # Another check tells what is wrong with it.
    existing = [choice for choice in dict.fromkeys(chosen) if all((folder / name).is_file() for name in choice)]
    return existing, defaults
