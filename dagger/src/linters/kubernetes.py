# SPDX-License-Identifier: Apache-2.0
"""What charts render against schemas, by helm and kubeconform: `kubernetes.py swagger.json go.mod CUSTOM_RESOURCE...`.

The schemas are Kubernetes' own, and those of CustomResourceDefinitions. Charts are rendered as for a cluster that knows
all of them, so that nothing is left out.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from linters import custom_schemas
from linters.chart_copies import built_copies, dependencies
from linters.charts import Rendering, renderings
from linters.finding import Finding, tell
from linters.kubernetes_schemas import write
from linters.places import line_of

LAYOUT = "{{.ResourceKind}}{{.KindSuffix}}.json"
# What a cluster may know besides; each makes charts render something.
KNOWN = ("monitoring.coreos.com/v1/ServiceMonitor", "uds.dev/v1alpha1/Package", "custom.metrics.k8s.io/v1beta1")
# Parts of a template: of one that is rendered, and of one that others include.
BEGINS = ("---", "{{- define")
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
    ends = [number for number, line in enumerate(lines) if line.startswith(BEGINS)]
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
        template = _template(rendering.chart, str(Path(*file.parts[1:])), resource["kind"])
        written = Path(template).read_text()
        document = _document(Path(resource["filename"]).read_text(), resource)
        what = f"{resource['kind']} {resource['name']}".strip() or "a document"
        parts = [(part["path"], part["why"]) for part in PART.finditer(resource["msg"]) if part["why"] != ABOVE]
        for path, why in parts or [("/apiVersion", f"{resource['version']}: {resource['msg']}")]:
            # What is too much is named by the reason alone, after the path of what holds it.
            whole = [part for part in path.split("/") if part] + NAMED.findall(why)[:1]
            line = origin(document, line_of(document, whole), written, resource["kind"])
            found = rendering.finding(f"{what}: {path}: {why}")
            yield replace(found, file=template, line=line)


def _template(chart: str, named: str, kind: str) -> str:
    """Path of the template that writes a kind: the one that was rendered, or one of a library's that it includes."""
    own = f"{chart}/{named}"
    if f"kind: {kind}" in Path(own).read_text().splitlines():
        return own
    libraries = (file for folder in dependencies(chart).values() for file in sorted(Path(folder).rglob("*.tpl")))
    writing = (str(file) for file in libraries if f"kind: {kind}" in file.read_text().splitlines())
    return next(writing, own)


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
        options = ["--output-dir", folder, f"--kube-version={version}", *(f"--api-versions={one}" for one in KNOWN)]
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
        arguments: Kubernetes' OpenAPI file, the go.mod that says of which version it is, and files of
            CustomResourceDefinitions.

    Returns:
        The exit code: 1 where something was found.
    """
    openapi, pinned, *custom = (Path(argument).resolve() for argument in arguments)
    version = re.search(r"k8s\.io/kubernetes (v[\d.]+)", pinned.read_text())
    if not version:
        return tell([Finding(str(pinned), 1, "expected a line `require k8s.io/kubernetes VERSION`")])
    with tempfile.TemporaryDirectory() as schemas:
        write(openapi, Path(schemas))
        custom_schemas.write(iter(custom), Path(schemas))
        with built_copies(Path()) as findings:
            broken = {finding.file for finding in findings}
            for rendering in renderings(Path()):
                if f"{rendering.chart}/Chart.yaml" not in broken:
                    findings.extend(check(rendering, schemas, version[1]))
    return tell(findings)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
