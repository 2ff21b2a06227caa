# SPDX-License-Identifier: Apache-2.0
"""JSON schemas of Kubernetes' kinds, out of its OpenAPI file.

A file for each kind, `<kind>-<group>-<version>.json` in lower case with the group's first part, as kubeconform looks
for them. They are strict: a property that a kind does not have is a mistake, and so is a null, which comes out of a
template where a value is missing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

Schema = dict[str, Any]
PREFIX = "#/definitions/"
# What these are in YAML is not what the file says of them.
WRITTEN_AS: Mapping[str, Schema] = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": ["string", "integer"]},
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": ["string", "number"]},
}


def schemas(definitions: Mapping[str, Schema]) -> Iterator[tuple[str, Schema]]:
    """The file name and the schema of every kind.

    Args:
        definitions: Of the OpenAPI file.
    """
    strict = {name: WRITTEN_AS.get(name) or _closed(schema) for name, schema in definitions.items()}
    for name, schema in definitions.items():
        kinds = schema.get("x-kubernetes-group-version-kind", [])
        # What belongs to many groups at once are options of requests, no documents.
        if len(kinds) == 1 and {"apiVersion", "kind"} <= schema["properties"].keys():
            yield _file_name(kinds[0]), _of_kind(name, kinds[0], strict)


def _file_name(kind: Mapping[str, str]) -> str:
    group = kind["group"].split(".")[0]
    return "-".join(part.lower() for part in (kind["kind"], group, kind["version"]) if part) + ".json"


def _of_kind(name: str, kind: Mapping[str, str], strict: Mapping[str, Schema]) -> Schema:
    """A kind's schema with all that it refers to."""
    version = "/".join(filter(None, (kind["group"], kind["version"])))
    root = dict(strict[name])
    root["properties"] = {**root["properties"], "apiVersion": {"const": version}, "kind": {"const": kind["kind"]}}
    root["required"] = sorted({*root.get("required", []), "apiVersion", "kind"})
    used = {one: strict[one] for one in sorted(_reached(root, strict))}
    return {"$schema": "http://json-schema.org/draft-07/schema#", **root, "definitions": used}


def _reached(schema: Schema, strict: Mapping[str, Schema]) -> set[str]:
    found: set[str] = set()
    waiting = list(_references(schema))
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _references(strict[name])
    return found


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"].removeprefix(PREFIX)
        for value in part.values():
            yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)


def closed(schema: Mapping[str, Any], below: Callable[[Mapping[str, Any]], Schema]) -> Schema:
    """A definition that allows no other properties than it names; what it says for people is left out.

    Args:
        schema: As the file has it.
        below: Makes the same of what is in it.
    """
    kept: Schema = {key: schema[key] for key in ("type", "$ref", "enum", "required", "items") if key in schema}
    if "items" in kept:
        kept["items"] = below(kept["items"])
    if "properties" in schema:
        kept["properties"] = {name: below(value) for name, value in schema["properties"].items()}
        kept["additionalProperties"] = False
    if isinstance(schema.get("additionalProperties"), dict):
        kept["additionalProperties"] = below(schema["additionalProperties"])
    return kept


def _closed(schema: Mapping[str, Any]) -> Schema:
    return closed(schema, _closed)


def write(openapi: Path, folder: Path) -> None:
    """Write all schemas.

    Args:
        openapi: Kubernetes' OpenAPI file.
        folder: Gets them; it exists.
    """
    for name, schema in schemas(json.loads(openapi.read_text())["definitions"]):
        (folder / name).write_text(json.dumps(schema))
