# SPDX-License-Identifier: Apache-2.0
"""A small instance of a JSON Schema, always the same: what a model with constrained output might answer.

Values are the least that the schema allows, and texts are the caller's. Keywords that restrict values in ways not known
here are refused, so that every instance is valid.
"""

import json
import math
from typing import Any

from cowabungaai_sdk.errors import InvalidRequestError

MAX_DEPTH = 32

ANNOTATIONS = frozenset(
    ["$comment", "$defs", "$id", "$schema", "default", "definitions", "deprecated", "description", "examples", "title"]
)
KEYWORDS = ANNOTATIONS | frozenset(
    [
        "$ref",
        "additionalProperties",
        "anyOf",
        "const",
        "enum",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "items",
        "maxItems",
        "maxLength",
        "maximum",
        "minItems",
        "minLength",
        "minimum",
        "prefixItems",
        "properties",
        "required",
        "type",
    ]
)
TYPES: dict[str, tuple[type, ...]] = {
    "array": (list,),
    "boolean": (bool,),
    "integer": (int,),
    "null": (type(None),),
    "number": (int, float),
    "object": (dict,),
    "string": (str,),
}


def instance(schema_text: str, text: str, param: str) -> Any:
    """Makes an instance of a schema.

    Args:
        schema_text: the schema as a JSON text.
        text: what texts in it say, as far as their length allows.
        param: the parameter that holds the schema, for errors.

    Raises:
        InvalidRequestError: the schema has a keyword that is not known here, contradicts itself, or never ends.
    """
    return _Maker(json.loads(schema_text), text, param).make_root()


class _Maker:
    def __init__(self, root: Any, text: str, param: str) -> None:
        self._root = root
        self._text = text
        self._param = param

    def make_root(self) -> Any:
        return self._make(self._root, "#", 0)

    def _refusal(self, where: str, problem: str) -> InvalidRequestError:
        return InvalidRequestError(f"the schema at {where} {problem}", self._param)

    def _make(self, schema: Any, where: str, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise self._refusal(where, f"is nested more than {MAX_DEPTH} deep, or without end")
        if schema is True:
            return self._text
        if not isinstance(schema, dict):
            raise self._refusal(where, f"is {schema!r}; expected an object")
        if unknown := sorted(schema.keys() - KEYWORDS):
            raise self._refusal(where, f"has keywords that the repeater does not know: {', '.join(unknown)}")
        for keyword in ("$ref", "anyOf"):
            if keyword in schema:
                return self._alternative(schema, keyword, where, depth)
        kinds = schema.get("type", list(TYPES))
        kinds = kinds if isinstance(kinds, list) else [kinds]
        if not kinds or any(kind not in TYPES for kind in kinds):
            raise self._refusal(where, f"has the type {schema['type']!r}; expected one of {', '.join(TYPES)}")
        if "const" in schema or "enum" in schema:
            return self._listed(schema, kinds, where)
        return self._typed(schema, kinds[0] if "type" in schema else _implied_type(schema), where, depth)

    def _alternative(self, schema: dict[str, Any], keyword: str, where: str, depth: int) -> Any:
        if beside := sorted(schema.keys() - ANNOTATIONS - {keyword}):
            raise self._refusal(where, f"has {', '.join(beside)} beside {keyword}, which the repeater cannot combine")
        if keyword == "$ref":
            return self._make(self._resolve(schema["$ref"], where), str(schema["$ref"]), depth + 1)
        if not isinstance(schema["anyOf"], list) or not schema["anyOf"]:
            raise self._refusal(where, "has an anyOf without alternatives")
        return self._make(schema["anyOf"][0], f"{where}/anyOf/0", depth + 1)

    def _resolve(self, reference: Any, where: str) -> Any:
        found = self._root
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise self._refusal(where, f"refers to {reference!r}; expected a place in the schema, as #/$defs/x")
        for step in filter(None, reference[1:].split("/")):
            name = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(found, dict) or name not in found:
                raise self._refusal(where, f"refers to {reference!r}, which is not there")
            found = found[name]
        return found

    def _listed(self, schema: dict[str, Any], kinds: list[str], where: str) -> Any:
        values = [schema["const"]] if "const" in schema else schema["enum"]
        for value in values if isinstance(values, list) else []:
            if any(_is(value, kind) for kind in kinds) and value in schema.get("enum", [value]):
                return value
        raise self._refusal(where, "has a const or enum that no value can meet")

    def _typed(self, schema: dict[str, Any], kind: str, where: str, depth: int) -> Any:
        match kind:
            case "object":
                return self._object(schema, where, depth)
            case "array":
                return self._array(schema, where, depth)
            case "string":
                return self._string(schema, where)
            case "integer" | "number":
                return self._number(schema, kind, where)
            case "boolean":
                return False
        return None

    def _object(self, schema: dict[str, Any], where: str, depth: int) -> dict[str, Any]:
        properties = schema.get("properties", {})
        further = schema.get("additionalProperties", True)
        made: dict[str, Any] = {}
        for name in schema.get("required", []):
            if name not in properties and further is False:
                raise self._refusal(where, f"requires {name!r}, which is not among its properties")
            made[name] = self._make(properties.get(name, further), f"{where}/properties/{name}", depth + 1)
        return made

    def _array(self, schema: dict[str, Any], where: str, depth: int) -> list[Any]:
        least = schema.get("minItems", 0)
        if least > schema.get("maxItems", least):
            raise self._refusal(where, "has a minItems over its maxItems")
        prefix, further = schema.get("prefixItems", []), schema.get("items", True)
        return [
            self._make(prefix[index] if index < len(prefix) else further, f"{where}/items", depth + 1)
            for index in range(least)
        ]

    def _string(self, schema: dict[str, Any], where: str) -> str:
        least = schema.get("minLength", 0)
        most = schema.get("maxLength", max(least, len(self._text)))
        if least > most:
            raise self._refusal(where, "has a minLength over its maxLength")
        return self._text[:most].ljust(least, ".")

    def _number(self, schema: dict[str, Any], kind: str, where: str) -> int | float:
        infinity = float("inf")
        low, high = schema.get("minimum", -infinity), schema.get("maximum", infinity)
        above, below = schema.get("exclusiveMinimum", -infinity), schema.get("exclusiveMaximum", infinity)
        bottom, top = max(low, above), min(high, below)
        ends: list[int | float] = [bottom, top, bottom + 1, top - 1, (bottom + top) / 2]
        finite: list[int | float] = [0, *(end for end in ends if abs(end) < infinity)]
        if kind == "integer":
            finite = [number for end in finite for number in (math.floor(end), math.ceil(end))]
        for value in finite:
            if low <= value <= high and above < value < below:
                return value
        raise self._refusal(where, "has limits that no number meets")


def _implied_type(schema: dict[str, Any]) -> str:
    """The type that a schema without one is about: its other keywords say nothing of values of other types."""
    if schema.keys() & {"properties", "required", "additionalProperties"}:
        return "object"
    if schema.keys() & {"items", "prefixItems", "minItems", "maxItems"}:
        return "array"
    if schema.keys() & {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}:
        return "number"
    return "string"


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, TYPES[kind]) or (kind == "integer" and isinstance(value, float) and value.is_integer())
