# SPDX-License-Identifier: Apache-2.0
"""What a package's charts become in a cluster, with the values that Zarf and UDS would give them."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from airgap.tools import from_yaml, output
from airgap.unpack import Package

VARIABLE = re.compile(r"###ZARF_(?:VAR|CONST)_([A-Z0-9_]+)###")


def with_variables(text: str, package: dict[str, Any]) -> str:
    """A values file as Zarf leaves it.

    Args:
        text: With placeholders.
        package: The zarf.yaml, whose defaults count.
    """
    known = {one["name"]: str(one.get("default", "")) for one in package.get("variables", [])}
    known |= {one["name"]: str(one["value"]) for one in package.get("constants", [])}
    return VARIABLE.sub(lambda found: known[found[1]], text)


def settings(entry: dict[str, Any], component: str, chart: str) -> Iterator[tuple[str, Any]]:
    """What a bundle sets in a chart, paths and values.

    Args:
        entry: What the bundle says of the package.
        component: Of the package.
        chart: Its name.
    """
    overrides = entry.get("overrides", {}).get(component, {}).get(chart, {})
    for value in overrides.get("values", []):
        yield value["path"], value["value"]
    for variable in overrides.get("variables", []):
        if "default" in variable:
            yield variable["path"], variable["default"]


def manifests(package: Package, scratch: Path) -> list[dict[str, Any]]:
    """All that the charts of a package bring into a cluster.

    Args:
        package: Of the bundle.
        scratch: A folder for it.
    """
    found = []
    for component in package.definition["components"]:
        archive = package.folder / "components" / f"{component['name']}.tar"
        if not archive.is_file():
            continue
        with tarfile.open(archive) as opened:
            opened.extractall(scratch, filter="data")
        folder = scratch / component["name"]
        for chart in component.get("charts", []):
            found += _rendered(package, component["name"], chart, folder)
    return found


def _rendered(package: Package, component: str, chart: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    name = f"{chart['name']}-{chart['version']}"
    options: list[str | Path] = []
    for values in sorted((folder / "values").glob(f"{name}-*")):
        values.write_text(with_variables(values.read_text(), package.definition))
        options += ["--values", values]
    for path, value in settings(package.entry, component, chart["name"]):
        options += ["--set-json", f"{path}={json.dumps(value)}"]
    release = chart.get("releaseName") or chart["name"]
    archive = folder / "charts" / f"{name}.tgz"
    return from_yaml(output("helm", "template", release, archive, "--namespace", chart["namespace"], *options))
