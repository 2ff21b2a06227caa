# SPDX-License-Identifier: Apache-2.0
"""Charts as Trivy must see them: rendered with the values with which they are installed.

A chart that wants a value which has no default is passed over by Trivy in silence; here that is an error.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from posixpath import normpath

import yaml
from pydantic import BaseModel, ConfigDict, Field

from cowabungaai import yaml_files
from cowabungaai.errors import ScanError
from cowabungaai.package_report import GPU_VALUES
from cowabungaai.trivy_report import Report, Result

CHART = "Chart.yaml"
LOCAL = "file://"
PLACEHOLDER = re.compile(r"###ZARF_(?P<kind>VAR|CONST|PKG_TMPL)_(?P<name>\w+)###")
# What stands for values that are only known later: variables are names of objects, or addresses where their own name
# says so; all others are references of images.
CHOSEN, ADDRESSES, BUILT = "chosen-later", "192.0.2.0/24", "registry.example/image:1.0.0"
OF_ADDRESSES = "_CIDR"


class _Lenient(BaseModel):
    model_config = ConfigDict(frozen=True)


class ZarfChart(_Lenient):
    """A chart as a component installs it."""

    path: str = Field(default="", alias="localPath")
    values: list[str] = Field(default=[], alias="valuesFiles")


class ZarfComponent(_Lenient):
    """A part of a package."""

    charts: list[ZarfChart] = []


class ZarfVariable(_Lenient):
    """A value that people may choose."""

    name: str
    default: str = ""


class ZarfPackage(_Lenient):
    """What a zarf.yaml says of charts."""

    components: list[ZarfComponent] = []
    variables: list[ZarfVariable] = []


class ChartDependency(_Lenient):
    """A chart of which another is made."""

    name: str
    repository: str = ""


class ChartMetadata(_Lenient):
    """What a Chart.yaml says of what is in a chart."""

    type: str = "application"
    dependencies: list[ChartDependency] = []


@dataclass(frozen=True)
class Chart:
    """A chart with the values of one way to install it.

    Attributes:
        folder: Below the root of the repository.
        values: Files of values, likewise, the last of which wins.
        defaults: Variables of its package, with their defaults.
        libraries: Name and folder, likewise, of the charts of which it is made.
    """

    folder: str
    values: tuple[str, ...] = ()
    defaults: tuple[tuple[str, str], ...] = ()
    libraries: tuple[tuple[str, str], ...] = ()


def charts_of(charts: Mapping[str, str], packages: Mapping[str, str], gpu: Collection[str] = ()) -> list[Chart]:
    """Every way in which charts are installed; as they are, where no package installs them.

    Args:
        charts: Path to content of every Chart.yaml.
        packages: Path to content of every zarf.yaml.
        gpu: Paths of values that packages have on top of those that they name where they are of the flavor gpu.

    Raises:
        ScanError: A file is not valid.
    """
    made = _made_of(charts)
    found: dict[Chart, None] = {}
    for file, text in sorted(packages.items()):
        package = yaml_files.parse(text, file, ZarfPackage, ScanError, "fields such as kind and components")
        defaults = tuple((one.name, one.default) for one in package.variables if one.default)
        root = PurePosixPath(file).parent
        for chart in (chart for component in package.components for chart in component.charts if chart.path):
            values = tuple(str(root / name) for name in chart.values)
            folder = str(root / chart.path)
            device = str(root / GPU_VALUES)
            for chosen in (values, (*values, device)) if device in gpu else (values,):
                found[Chart(folder, chosen, defaults, made.get(folder, ()))] = None
    installed = {chart.folder for chart in found}
    alone = (Chart(folder, libraries=libraries) for folder, libraries in sorted(made.items()))
    return [*found, *(chart for chart in alone if chart.folder not in installed)]


def _made_of(charts: Mapping[str, str]) -> dict[str, tuple[tuple[str, str], ...]]:
    """Of each chart that can be installed, the folder, and the charts of which it is made."""
    made = {}
    for file, text in charts.items():
        folder = str(PurePosixPath(file).parent)
        described = yaml_files.parse(text, file, ChartMetadata, ScanError, "fields such as name and version")
        if described.type != "library":
            made[folder] = tuple(
                (one.name, normpath(f"{folder}/{one.repository.removeprefix(LOCAL)}"))
                for one in described.dependencies
                if one.repository.startswith(LOCAL)
            )
    return made


def filled(values: str, chart: Chart) -> str:
    """Values in which something stands for what is only known later.

    Args:
        values: Of a file of values.
        chart: Which it is for.

    Raises:
        ScanError: The result is not valid YAML.
    """
    defaults = dict(chart.defaults)

    def later(found: re.Match[str]) -> str:
        chosen = ADDRESSES if found["name"].endswith(OF_ADDRESSES) else CHOSEN
        return defaults.get(found["name"], chosen if found["kind"] == "VAR" else BUILT)

    text = PLACEHOLDER.sub(later, values)
    try:
        yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise ScanError(f"{', '.join(chart.values)}: not valid YAML: {error}") from error
    return text


def failures(report: Report, chart: Chart) -> list[Result]:
    """What Trivy found wrong in a chart, with paths below the root of the repository.

    Args:
        report: Trivy's on that chart, with the checks that it passes.
        chart: It.

    Raises:
        ScanError: It was not checked.
    """
    checked = [result for result in report.results if result.misconfigurations]
    if not checked:
        using = f" with {', '.join(chart.values)}" if chart.values else ""
        raise ScanError(f"{chart.folder}: Trivy could not render the chart{using}; `helm template` tells why")
    results = []
    for result in checked:
        failed = [one for one in result.misconfigurations if one.status == "FAIL"]
        changes = {"target": f"{chart.folder}/{result.target}", "misconfigurations": failed}
        results.append(result.model_copy(update=changes))
    return results
