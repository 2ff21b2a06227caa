"""The charts of packages, and how each is rendered."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from linters.finding import Finding

# How Helm names a place in a template: the chart's name, the file, the line, the column.
PLACE = re.compile(r"[\w.-]+/(?P<file>templates/[\w./-]+):(?P<line>\d+)(?::\d+)?")


@dataclass(frozen=True)
class Rendering:
    """A chart with values.

    Attributes:
        chart: Its folder, below the root of the repository.
        values: Files of values, the last of which wins.
    """

    chart: str
    values: tuple[str, ...]

    @property
    def options(self) -> list[str]:
        """Of helm, which name the values."""
        return [f"--values={file}" for file in self.values]

    def finding(self, message: str, file: str = "Chart.yaml", line: int = 1) -> Finding:
        """What is wrong with it; the place that Helm names in the message counts more than the one given."""
        if place := PLACE.search(message):
            file, line = place["file"], int(place["line"])
        told = f" (with {', '.join(self.values)})" if self.values else ""
        return Finding(f"{self.chart}/{file}", line, " ".join(message.split()) + told)


def renderings(root: Path) -> Iterator[Rendering]:
    """Every way in which every chart below packages/ is rendered.

    A chart is rendered as its zarf.yaml does it, and then with each other file of values on top of that.

    Args:
        root: Of the repository.
    """
    for file in sorted(root.glob("packages/*/chart/Chart.yaml")):
        folder = file.parents[1]
        chart = str(file.parent.relative_to(root))
        bases = _values_of_zarf(folder)
        used = {name for base in bases for name in base}
        others = [
            name for name in sorted(f"values/{one.name}" for one in folder.glob("values/*.yaml")) if name not in used
        ]
        first = bases[0] if bases else ()
        chosen = [*bases, *((*first, other) for other in others)] or [()]
        for values in chosen:
            yield Rendering(chart, tuple(f"{folder.relative_to(root)}/{name}" for name in values))


def _values_of_zarf(folder: Path) -> list[tuple[str, ...]]:
    """The files of values that a package's zarf.yaml names for its chart, once for each different choice."""
    try:
        package: Any = yaml.safe_load((folder / "zarf.yaml").read_text())
        charts = [chart for component in package["components"] for chart in component.get("charts", [])]
        chosen = [tuple(chart.get("valuesFiles", ())) for chart in charts if chart.get("localPath") == "chart"]
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError):
        return []  # Another check tells what is wrong with it.
    return list(dict.fromkeys(chosen))
