# SPDX-License-Identifier: Apache-2.0
"""What charts render against Kubernetes' own schemas, by helm and kubeconform: `kubernetes.py swagger.json go.mod`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from linters.charts import Rendering, renderings
from linters.finding import Finding, tell
from linters.kubernetes_schemas import write
from linters.places import line_of

LAYOUT = "{{.ResourceKind}}{{.KindSuffix}}.json"
# kubeconform tells what it found in one message of many parts: where, and why.
PART = re.compile(r"- at '(?P<path>[^']*)': (?P<why>.*?)(?=\s+- at '|$)", re.DOTALL)
# The part above others says no more than this.
ABOVE = "validation failed"
NAMED = re.compile(r"additional properties '([^']+)'")


def origin(rendered: str, line: int, template: str, kind: str) -> int:
    """The line of a template from which a line of what it renders came.

    Args:
        rendered: One document that the template renders.
        line: A line of it, from 1.
        template: The template, maybe of several documents.
        kind: The document's.

    Returns:
        The line of the template's part for that kind, from 1, that begins alike, up to the first colon, and comes after
        as many others that do; the last of these where there are fewer; the first of all where there is none.
    """
    lines = rendered.splitlines()
    start = _start(lines[line - 1])
    before = sum(_start(one) == start for one in lines[: line - 1])
    first, part = _part_of(template, kind)
    alike = [number for number, one in enumerate(part, first) if _start(one) == start]
    return alike[min(before, len(alike) - 1)] if alike else first


def _start(line: str) -> str:
    return line.partition(":")[0].rstrip()


def _part_of(template: str, kind: str) -> tuple[int, list[str]]:
    """The first line, and the lines, of a template's part that writes a kind; the whole where none does."""
    lines = template.splitlines()
    ends = [number for number, line in enumerate(lines) if line.startswith("---")]
    for begin, end in zip([0, *ends], [*ends, len(lines)], strict=True):
        if f"kind: {kind}" in lines[begin:end]:
            return begin + 1, lines[begin:end]
    return 1, lines


def findings_of(rendering: Rendering, folder: Path, resources: list[dict[str, Any]]) -> Iterator[Finding]:
    """What kubeconform found.

    Args:
        rendering: The chart.
        folder: What it rendered: a folder named as the chart, with a file for each template.
        resources: Of kubeconform's JSON.
    """
    for resource in resources:
        file = Path(resource["filename"]).relative_to(folder)
        template = str(Path(*file.parts[1:]))
        written = Path(rendering.chart, template).read_text()
        document = _document(Path(resource["filename"]).read_text(), resource)
        what = f"{resource['kind']} {resource['name']}".strip() or "a document"
        parts = [(part["path"], part["why"]) for part in PART.finditer(resource["msg"]) if part["why"] != ABOVE]
        for path, why in parts or [("/apiVersion", f"{resource['version']}: {resource['msg']}")]:
            # What is too much is named by the reason alone, after the path of what holds it.
            whole = [part for part in path.split("/") if part] + NAMED.findall(why)[:1]
            line = origin(document, line_of(document, whole), written, resource["kind"])
            yield rendering.finding(f"{what}: {path}: {why}", template, line)


def _document(rendered: str, resource: dict[str, Any]) -> str:
    """The document of a resource, of all that a template renders; helm brings them in an order of its own."""
    documents = re.split(r"^---.*\n", rendered, flags=re.MULTILINE)
    for text in documents:
        match yaml.safe_load(text):
            case {"kind": kind, "metadata": {"name": name}} if (kind, name) == (resource["kind"], resource["name"]):
                return text
    return documents[-1]


def check(rendering: Rendering, schemas: str, version: str) -> list[Finding]:
    """Render a chart, and check what comes out of it.

    Args:
        rendering: The chart.
        schemas: Their folder, as kubernetes_schemas.py writes it.
        version: Of Kubernetes, such as v1.34.2.
    """
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as scratch:
        render = ["helm", "template", "checked", rendering.chart, *rendering.options(Path(scratch))]
        options = ["--output-dir", folder, f"--kube-version={version}"]
        rendered = subprocess.run([*render, *options], capture_output=True, text=True, check=False)
        if rendered.returncode:
            return [rendering.finding(rendered.stderr.removeprefix("Error: "))]
        conform = ["kubeconform", "-strict", "-output=json", f"-schema-location={schemas}/{LAYOUT}", folder]
        checked = subprocess.run(conform, capture_output=True, text=True, check=False)
        if not checked.stdout:
            return [rendering.finding(checked.stderr)]
        return list(findings_of(rendering, Path(folder), json.loads(checked.stdout)["resources"]))


def main(arguments: list[str]) -> int:
    """Check all charts.

    Args:
        arguments: Kubernetes' OpenAPI file, and the go.mod that says of which version it is.

    Returns:
        The exit code: 1 where something was found.
    """
    openapi, pinned = map(Path, arguments)
    version = re.search(r"k8s\.io/kubernetes (v[\d.]+)", pinned.read_text())
    if not version:
        return tell([Finding(str(pinned), 1, "expected a line `require k8s.io/kubernetes VERSION`")])
    with tempfile.TemporaryDirectory() as schemas:
        write(openapi, Path(schemas))
        return tell(one for rendering in renderings(Path()) for one in check(rendering, schemas, version[1]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
