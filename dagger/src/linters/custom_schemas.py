# SPDX-License-Identifier: Apache-2.0
"""JSON schemas of kinds that are no part of Kubernetes, out of their CustomResourceDefinitions.

ServiceMonitor's comes from the Go module of its operator. UDS' Package is in no Go module: uds-package.yaml, beside
this file, describes the fields that our charts use, in the same form.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from linters.kubernetes_schemas import WRITTEN_AS, closed

UDS_PACKAGE = "uds-package.yaml"
INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"


def schemas(definition: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The file name and the schema of every version of a kind; see kubernetes_schemas.

    Args:
        definition: A CustomResourceDefinition.
    """
    spec = definition["spec"]
    group, kind = spec["group"], spec["names"]["kind"]
    for version in spec["versions"]:
        root = _strict(version["schema"]["openAPIV3Schema"])
        root["properties"] |= {
            "apiVersion": {"const": f"{group}/{version['name']}"},
            "kind": {"const": kind},
            "metadata": {"type": "object", "required": ["name"]},
        }
        root["required"] = sorted({*root.get("required", []), "apiVersion", "kind", "metadata"})
        name = f"{kind}-{group.split('.')[0]}-{version['name']}.json".lower()
        yield name, {"$schema": "http://json-schema.org/draft-07/schema#", **root}


def _strict(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema that allows no other properties than it names, unless it says that it keeps them."""
    if schema.get("x-kubernetes-int-or-string"):
        return dict(WRITTEN_AS[INT_OR_STRING])
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return {}
    return closed(schema, _strict)


def write(definitions: Iterator[Path], folder: Path) -> None:
    """Write all schemas, UDS' Package too.

    Args:
        definitions: Files of CustomResourceDefinitions.
        folder: Gets them; it exists.
    """
    texts = [file.read_text() for file in definitions]
    for text in [*texts, files("linters").joinpath(UDS_PACKAGE).read_text()]:
        for name, schema in schemas(yaml.safe_load(text)):
            (folder / name).write_text(json.dumps(schema))
