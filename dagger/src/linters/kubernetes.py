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
from linters.places import line_below

LAYOUT = "{{.ResourceKind}}{{.KindSuffix}}.json"
# kubeconform names what is too much in the message alone, and tells the path of what holds it.
NAMED = re.compile(r"additional propert(?:y|ies) '(?P<name>[^']+)'")


def origin(rendered: str, line: int, template: str) -> int:
    """The line of a template from which a line of what it renders came.

    Args:
        rendered: What the template renders.
        line: A line of it, from 1.
        template: The template.

    Returns:
        The line of the template, from 1, that begins alike, up to the first colon, and comes after as many others that
        do; the last of these where there are fewer; 1 where there is none.
    """
    lines = rendered.splitlines()
    start = _start(lines[line - 1]) if 0 < line <= len(lines) else ""
    before = sum(_start(one) == start for one in lines[: line - 1])
    alike = [number for number, one in enumerate(template.splitlines(), 1) if _start(one) == start]
    return alike[min(before, len(alike) - 1)] if start and alike else 1


def _start(line: str) -> str:
    return line.partition(":")[0].rstrip()


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
        rendered, written = Path(resource["filename"]).read_text(), Path(rendering.chart, template).read_text()
        what = f"{resource['kind']} {resource['name']}".strip() or "a document"
        for error in resource.get("validationErrors") or [{"path": "", "msg": resource["msg"]}]:
            path = [part for part in error["path"].split("/") if part]
            too_much = NAMED.search(error["msg"])
            whole = [*path, too_much["name"]] if too_much else path
            line = origin(rendered, _line(rendered, resource, whole), written)
            yield rendering.finding(f"{what}: /{'/'.join(path)}: {error['msg']}", template, line)


def _line(rendered: str, resource: dict[str, Any], path: list[str]) -> int:
    """The line of a value in the document of the resource's kind and name, of all that a template renders."""
    for node in yaml.compose_all(rendered, Loader=yaml.SafeLoader):
        document = yaml.SafeLoader("").construct_document(node) if node else None
        if _signature(document) == (resource["kind"], resource["name"]):
            return line_below(node, path)
    return 1


def _signature(document: Any) -> tuple[str, str]:
    """Kind and name, as kubeconform tells them."""
    try:
        return str(document["kind"]), str(document["metadata"]["name"])
    except (TypeError, KeyError):
        return "", ""


def check(rendering: Rendering, schemas: str, version: str) -> list[Finding]:
    """Render a chart, and check what comes out of it.

    Args:
        rendering: The chart.
        schemas: Their folder, as kubernetes_schemas.py writes it.
        version: Of Kubernetes, such as v1.34.2.
    """
    with tempfile.TemporaryDirectory() as folder:
        render = ["helm", "template", "checked", rendering.chart, *rendering.options]
        options = ["--output-dir", folder, f"--kube-version={version}"]
        rendered = subprocess.run([*render, *options], capture_output=True, text=True, check=False)
        if rendered.returncode:
            return [rendering.finding(rendered.stderr)]
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
