# SPDX-License-Identifier: Apache-2.0
"""The charts of packages, and how each is rendered."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from linters.chart_copies import library_file
from linters.finding import Finding

ENVIRONMENTS = "dagger/src/cowabungaai/environments.yaml"
VARIABLE = re.compile(r"###ZARF_VAR_(\w+)###")
# How Helm names a place: the chart's name, maybe that of a chart in it, the file, the line, the column; or only a file.
PLACE = re.compile(
    r"(?:[\w.-]+/(?:charts/(?P<library>[\w.-]+)/)?(?=templates/)|cannot load )(?P<file>[\w/-]+\.\w+)(?::(?P<line>\d+))?"
)
# In a template it is the line of what that renders, which is near.
YAML_LINE = re.compile(r"yaml: line (\d+)")
HINT = "Use --debug flag to render out invalid YAML"
# A file of this name is for another image, and goes on top of any other.
DEVICE = "gpu.yaml"


@dataclass(frozen=True)
class Rendering:
    """A chart with values.

    Attributes:
        chart: Its folder, below the root of the repository.
        values: Files of values, the last of which wins.
        defaults: What the package's variables are where nobody sets them; None leaves them as they are written.
        environment: Name of the environment whose values win over those of files; none where it is empty.
        environment_values: They.
    """

    chart: str
    values: tuple[str, ...]
    defaults: Mapping[str, str] | None = None
    environment: str = ""
    environment_values: Mapping[str, Any] = field(default_factory=dict)

    def options(self, scratch: Path) -> list[str]:
        """Of helm, which name the values.

        Args:
            scratch: A folder for values in which variables of the package are replaced.
        """
        files = list(self.values)
        if self.defaults is not None:
            for number, file in enumerate(self.values):
                copy = scratch / f"{number}.yaml"
                copy.write_text(
                    VARIABLE.sub(lambda found: (self.defaults or {}).get(found[1], ""), Path(file).read_text())
                )
                files[number] = str(copy)
        if self.environment:
            copy = scratch / "environment.yaml"
            copy.write_text(yaml.safe_dump(self.environment_values))
            files.append(str(copy))
        return [f"--values={file}" for file in files]

    def finding(self, message: str, file: str = "Chart.yaml", line: int = 1) -> Finding:
        """What is wrong with it; the last place that Helm names in the message counts more than the one given."""
        path, told = f"{self.chart}/{file}", message
        for place in PLACE.finditer(message):
            path, line = f"{self.chart}/{place['file']}", int(place["line"] or line)
            if place["library"]:
                path = library_file(self.chart, place["library"], place["file"])
                # What comes before is only who included it.
                told = message[place.start() :]
        if inside := YAML_LINE.search(message):
            line = int(inside[1])
        return Finding(path, line, " ".join(told.replace(HINT, "").split()) + self._with())

    def _with(self) -> str:
        parts = [", ".join(self.values)] if self.values else []
        parts += ["the variables' defaults"] if self.defaults is not None and self.values else []
        parts += [f"the environment {self.environment}"] if self.environment else []
        return f" (with {' and '.join(parts)})" if parts else ""


def renderings(root: Path) -> Iterator[Rendering]:
    """Every way in which every chart below packages/ is rendered.

    A chart is rendered as its zarf.yaml does it, and then with each other file of values on top of that; with variables
    of the package as they are written, which stand for any text, and with their defaults; and so for each environment.

    Args:
        root: Of the repository.
    """
    environments = _read_environments(root / ENVIRONMENTS)
    for file in sorted(root.glob("packages/*/chart/Chart.yaml")):
        if is_library(file):
            continue
        folder = file.parents[1]
        chart = str(file.parent.relative_to(root))
        bases, defaults = _read_zarf(folder)
        for values in _choices(folder, bases):
            files = tuple(f"{folder.relative_to(root)}/{name}" for name in values)
            yield Rendering(chart, files)
            variables = any(VARIABLE.search((folder / name).read_text()) for name in values)
            if variables:
                yield Rendering(chart, files, defaults)
            for name, of_services in environments.items():
                own = of_services.get(folder.name, of_services[""])
                yield Rendering(chart, files, defaults if variables else None, name, own)


def is_library(file: Path) -> bool:
    """Whether a chart is one that others are made of, and that is not installed.

    Args:
        file: Its Chart.yaml.
    """
    described = yaml.safe_load(file.read_text())
    return isinstance(described, dict) and described.get("type") == "library"


def _choices(folder: Path, bases: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The files of values with which a chart is rendered, each choice once."""
    used = {name for base in bases for name in base}
    files = sorted(f"values/{one.name}" for one in folder.glob("values/*.yaml"))
    first = bases[0] if bases else ()
    chosen = [*bases, *((*first, name) for name in files if name not in used and Path(name).name != DEVICE)]
    device = [name for name in files if Path(name).name == DEVICE and name not in used]
    return [*chosen, *((*choice, name) for name in device for choice in chosen or [()])] or [()]


def _read_environments(file: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Values of each environment by service; those of services that are not named have an empty name."""
    if not file.is_file():
        return {}
    described: dict[str, Any] = yaml.safe_load(file.read_text())
    return {
        name: {
            "": one["values"],
            **{service: _merged(one["values"], own) for service, own in one.get("services", {}).items()},
        }
        for name, one in described.items()
    }


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Two trees of values, as Helm joins them."""
    result = dict(under)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = _merged(result[key], value) if both else value
    return result


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
    except (OSError, yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError):
        return [], {}  # Another check tells what is wrong with it.
    existing = [choice for choice in dict.fromkeys(chosen) if all((folder / name).is_file() for name in choice)]
    return existing, defaults
