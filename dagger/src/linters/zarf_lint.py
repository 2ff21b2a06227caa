# SPDX-License-Identifier: Apache-2.0
"""`zarf dev lint` of every package, each finding with its line, and whether the charts and values are there."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

from linters.finding import Finding, tell
from linters.places import line_of

PACKAGES = "packages/*/zarf.yaml"
# A row of zarf's table: what it is, where, and why.
ROW = re.compile(r"^\s*(?:Error|Warning)\s+\|\s(?P<path>\S*)\s*\|\s(?P<message>.*?)\s*$")
# Set by the pipeline when it makes a package.
TEMPLATE = re.compile(r"###ZARF_PKG_TMPL_(\w+)###")
# Of what cannot be read at all zarf tells line and column before the reason.
UNREADABLE = re.compile(r"\[(?P<line>\d+):\d+\] (?P<reason>.*)")
UNKNOWN = re.compile(r"Additional property (\S+) is not allowed")


def findings_of(file: str, text: str, output: str) -> Iterator[Finding]:
    """What zarf tells of a package.

    Args:
        file: Path of its zarf.yaml.
        text: What that says.
        output: Of `zarf dev lint`.
    """
    for line in output.splitlines():
        if row := ROW.match(line):
            path = [part.strip("[]") for part in row["path"].split(".") if part not in ("", "(root)")]
            path += UNKNOWN.findall(row["message"])[:1]
            yield Finding(file, line_of(text, path), f"{row['path'] or 'the package'}: {row['message']}")


def missing_files(file: str, text: str, folder: Path) -> Iterator[Finding]:
    """Charts and values that a package names and lacks: zarf looks for them only when it makes the package.

    Args:
        file: Path of its zarf.yaml.
        text: What that says.
        folder: Of the package.
    """
    for number, component in enumerate(yaml.safe_load(text)["components"]):
        for index, chart in enumerate(component.get("charts", [])):
            names = [("localPath", chart["localPath"])] if "localPath" in chart else []
            names += [("valuesFiles", name) for name in chart.get("valuesFiles", [])]
            for key, name in names:
                if not (folder / name).exists():
                    line = line_of(text, ["components", number, "charts", index, key])
                    yield Finding(file, line, f"no such file: {name}")


def unreadable(file: str, output: str) -> Finding:
    """Why zarf could not read a package.

    Args:
        file: Path of its zarf.yaml.
        output: What zarf says of errors.
    """
    place = UNREADABLE.search(output)
    return Finding(file, int(place["line"]), place["reason"]) if place else Finding(file, 1, output.strip())


def flavors(text: str) -> list[str]:
    """The flavors of a package; an empty one where no component is of a flavor, or where that cannot be read.

    Args:
        text: What its zarf.yaml says.
    """
    try:
        found = {one["only"]["flavor"] for one in yaml.safe_load(text)["components"] if "flavor" in one.get("only", {})}
    except (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError):
        return [""]  # Zarf tells what is wrong with it.
    return sorted(found) or [""]


def check(path: Path, templates: Iterable[str]) -> list[Finding]:
    """Lint a package, each flavor of it.

    Args:
        path: Of its zarf.yaml.
        templates: Names of all templates, also of those in packages that it imports.
    """
    file, text = str(path), path.read_text()
    # Zarf wants them set, and has rules for names of images; what still is a placeholder is left alone.
    values = [f"--set={name}=###ZARF_PKG_TMPL_{name}###" for name in templates]
    found: list[Finding] = []
    for flavor in flavors(text):
        command = ["zarf", "dev", "lint", str(path.parent), "--no-color", f"--flavor={flavor}", *values]
        finished = subprocess.run(command, capture_output=True, text=True, check=False)
        told = list(findings_of(file, text, finished.stdout))
        if finished.returncode:
            return told or [unreadable(file, finished.stderr)]
        found += told
    return [*found, *missing_files(file, text, path.parent)]


def main() -> int:
    """Lint all packages.

    Returns:
        The exit code: 1 where something was found.
    """
    paths = sorted(Path().glob(PACKAGES))
    templates = sorted({name for path in paths for name in TEMPLATE.findall(path.read_text())})
    return tell(finding for path in paths for finding in check(path, templates))


if __name__ == "__main__":
    sys.exit(main())
