# SPDX-License-Identifier: Apache-2.0
"""Charts as Trivy must see them: rendered with the values with which they are installed.

A chart that wants a value which has no default is passed over by Trivy in silence; here that is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

import yaml
from pydantic import BaseModel, ConfigDict, Field

from cowabungaai import yaml_files
from cowabungaai.errors import ScanError
from cowabungaai.trivy_report import Report, Result

CHART = "Chart.yaml"
PLACEHOLDER = re.compile(r"###ZARF_(?:VAR|CONST|PKG_TMPL)_(?P<name>\w+)###")
# What stands for values that are only known later; it is a good image's reference, since most of them are.
LATER = "registry.example/image:1.0.0"


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


@dataclass(frozen=True)
class Chart:
    """A chart with the values of one way to install it.

    Attributes:
        folder: Below the root of the repository.
        values: Files of values, likewise, the last of which wins.
        defaults: Variables of its package, with their defaults.
    """

    folder: str
    values: tuple[str, ...] = ()
    defaults: tuple[tuple[str, str], ...] = ()


def charts_of(folders: Iterable[str], packages: Mapping[str, str]) -> list[Chart]:
    """Every way in which charts are installed; as they are, where no package installs them.

    Args:
        folders: Of all charts, below the root of the repository.
        packages: Path to content of every zarf.yaml.

    Raises:
        ScanError: A zarf.yaml is not valid.
    """
    found: dict[Chart, None] = {}
    for file, text in sorted(packages.items()):
        package = yaml_files.parse(text, file, ZarfPackage, ScanError, "fields such as kind and components")
        defaults = tuple((one.name, one.default) for one in package.variables if one.default)
        root = PurePosixPath(file).parent
        for chart in (chart for component in package.components for chart in component.charts if chart.path):
            values = tuple(str(root / name) for name in chart.values)
            found[Chart(str(root / chart.path), values, defaults)] = None
    installed = {chart.folder for chart in found}
    return [*found, *(Chart(folder) for folder in sorted(set(folders) - installed))]


def filled(values: str, chart: Chart) -> str:
    """Values in which something stands for what is only known later.

    Args:
        values: Of a file of values.
        chart: Which it is for.

    Raises:
        ScanError: The result is not valid YAML.
    """
    defaults = dict(chart.defaults)
    text = PLACEHOLDER.sub(lambda found: defaults.get(found["name"], LATER), values)
    try:
        yaml.safe_load(text)
    except yaml.YAMLError as error:
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
