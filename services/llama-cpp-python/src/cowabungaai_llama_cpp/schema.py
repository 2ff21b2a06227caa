# SPDX-License-Identifier: Apache-2.0
"""JSON Schema as a grammar for llama.cpp. What the grammar cannot express is refused, never left out.

The binding has a converter of its own, which passes over keywords that it does not know (multipleOf, uniqueItems, not,
minimum of numbers...), so that answers break the schema that was asked for.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from cowabungaai_llama_cpp.numbers import integer_rule
from cowabungaai_llama_cpp.patterns import FORMATS, PatternError, pattern_rule

MAX_RULES = 2000
"""The most rules that a schema may become."""
MAX_DEPTH = 32
"""How deep a schema may be nested."""
MAX_REPEAT = 1000
"""The largest count of characters or items; llama.cpp writes counted repetitions out."""
MAX_PROPERTIES = 100
"""The most properties of one object: each optional one may be followed by all others."""
MAX_CHARACTERS = 200_000
"""The largest grammar; texts of enum and const count."""

SPACE = '(" " | "\\n" [ \\t]{0,20})?'
"""White space, where JSON may have it; bounded, since small models go on with it for ever."""

EMPTY = '""'

PRIMITIVES = {
    "space": SPACE,
    "character": r'[^"\\\x00-\x1F\x7F] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4})',
    "string": '"\\"" character* "\\""',
    "digits": "[0-9]{1,15}",
    "integer": '"-"? ("0" | [1-9] [0-9]{0,15})',
    "number": 'integer ("." digits)? ([eE] [-+]? [0-9]{1,3})?',
    "boolean": '"true" | "false"',
    "null": '"null"',
    "value": "object | array | string | number | boolean | null",
    "member": 'string space ":" space value',
    "object": '"{" space (member (space "," space member)*)? space "}"',
    "array": '"[" space (value (space "," space value)*)? space "]"',
}
"""The rules of JSON itself."""

ANNOTATIONS = frozenset({
    "title", "description", "default", "examples", "example", "$schema", "$id", "$comment", "$defs", "definitions",
    "deprecated", "readOnly", "writeOnly",
})  # fmt: skip
KEYWORDS = {
    "object": frozenset({"properties", "required", "additionalProperties"}),
    "array": frozenset({"items", "prefixItems", "minItems", "maxItems"}),
    "string": frozenset({"minLength", "maxLength", "pattern", "format"}),
    "integer": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}),
    "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}),
    "boolean": frozenset(),
    "null": frozenset(),
}
"""The keywords of each type that are understood."""


class SchemaError(ValueError):
    """A schema that cannot be expressed as a grammar; the message says where and why."""


def grammar_of(schema: Any) -> str:
    """The grammar of all JSON texts that keep to a schema.

    Properties come in the schema's order; further ones, where it allows them, come last.

    Args:
        schema: the schema as json.loads gives it.

    Returns:
        Rules in GBNF, with `root`.

    Raises:
        SchemaError: the schema is wrong, or there is no grammar for it.
    """
    rules = Rules(schema)
    rules.add("root", rules.of(schema, "#"))
    return rules.text()


def literal(text: str) -> str:
    """A text as GBNF writes it.

    Args:
        text: any text.
    """
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


def json_literal(value: Any) -> str:
    """A JSON value as GBNF writes it.

    Args:
        value: as json.loads gives it.
    """
    return literal(json.dumps(value, ensure_ascii=False))


class Rules:
    """A grammar in the making.

    Args:
        root: the whole schema, to which references refer.
    """

    def __init__(self, root: Any) -> None:
        self._root = root
        self._rules = dict(PRIMITIVES)
        self._references: dict[str, str] = {}
        self._depth = 0
        self._size = 0

    def add(self, name: str, body: str) -> str:
        """Adds a rule.

        Args:
            name: its name; a number is appended where it is taken.
            body: what it stands for.

        Returns:
            Its name.

        Raises:
            SchemaError: there are too many.
        """
        if name in self._rules:
            name = f"{name}-{len(self._rules)}"
        # A rule that ends with a space goes on in the next line for llama.cpp.
        self._rules[name] = body.strip() or EMPTY
        self._size += len(body)
        if len(self._rules) > MAX_RULES or self._size > MAX_CHARACTERS:
            raise SchemaError("the schema is too large; expected fewer properties, alternatives and values")
        return name

    def text(self) -> str:
        """All rules."""
        return "".join(f"{name} ::= {body}\n" for name, body in self._rules.items())

    def of(self, schema: Any, where: str) -> str:
        """The name of the rule for a schema.

        Args:
            schema: a part of the whole.
            where: its place, for errors.

        Raises:
            SchemaError: see grammar_of.
        """
        if schema is True:
            return "value"
        if not isinstance(schema, Mapping):
            raise SchemaError(f"the schema at {where} is {json.dumps(schema)[:80]}; expected an object")
        if self._depth >= MAX_DEPTH:
            raise SchemaError(f"the schema at {where} is nested more than {MAX_DEPTH} deep")
        self._depth += 1
        try:
            return self._of(schema, where)
        finally:
            self._depth -= 1

    def _of(self, schema: Mapping[str, Any], where: str) -> str:
        asserted = {key: value for key, value in schema.items() if key not in ANNOTATIONS}
        if "$ref" in asserted:
            _only(asserted, {"$ref"}, where)
            return self._reference(asserted["$ref"], where)
        for key in ("anyOf", "oneOf"):
            if key in asserted:
                _only(asserted, {key}, where)
                return self._any_of(_list(asserted[key], f"{where}/{key}"), f"{where}/{key}")
        if "allOf" in asserted:
            return self._all_of(asserted, where)
        if "const" in asserted or "enum" in asserted:
            return self._values(asserted, where)
        return self._typed(asserted, where)

    def _reference(self, reference: Any, where: str) -> str:
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise SchemaError(
                f"the schema at {where} refers to {reference!r}; expected a place in the schema, as #/$defs/x"
            )
        if reference not in self._references:
            target = self._root
            for part in reference[1:].split("/")[1:]:
                part = part.replace("~1", "/").replace("~0", "~")
                if isinstance(target, Mapping) and part in target:
                    target = target[part]
                elif isinstance(target, list) and part.isdecimal() and int(part) < len(target):
                    target = target[int(part)]
                else:
                    raise SchemaError(f"the schema at {where} refers to {reference!r}, which is not there")
            # Known before it is made: it may refer to itself.
            name = self._references[reference] = f"ref-{len(self._references)}"
            self.add(name, self.of(target, reference))
        return self._references[reference]

    def _any_of(self, alternatives: Sequence[Any], where: str) -> str:
        names = [self.of(alternative, f"{where}/{index}") for index, alternative in enumerate(alternatives)]
        return self.add("any", " | ".join(dict.fromkeys(names)))

    def _all_of(self, schema: Mapping[str, Any], where: str) -> str:
        merged: dict[str, Any] = {key: value for key, value in schema.items() if key != "allOf"}
        for index, part in enumerate(_list(schema["allOf"], f"{where}/allOf")):
            if not isinstance(part, Mapping):
                raise SchemaError(f"the schema at {where}/allOf/{index} is no object")
            for key, value in part.items():
                if key in ANNOTATIONS:
                    continue
                if key in ("properties", "required") and key in merged:
                    value = {**merged[key], **value} if key == "properties" else [*merged[key], *value]
                elif key in merged and merged[key] != value:
                    raise SchemaError(f"the parts of {where}/allOf differ in {key}, which a grammar cannot combine")
                merged[key] = value
        return self.of(merged, where)

    def _values(self, schema: Mapping[str, Any], where: str) -> str:
        _only(schema, {"const", "enum", "type"}, where)
        values = _list(schema["enum"], f"{where}/enum") if "enum" in schema else [schema["const"]]
        if "const" in schema:
            values = [value for value in values if _same(value, schema["const"])]
        if "type" in schema:
            types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
            values = [value for value in values if any(_is(value, kind) for kind in types)]
        if not values:
            raise SchemaError(f"the schema at {where} has a const or enum that no value can meet")
        return self.add("values", " | ".join(dict.fromkeys(map(json_literal, values))))

    def _typed(self, schema: Mapping[str, Any], where: str) -> str:
        kinds = schema.get("type")
        if kinds is None:
            kinds = [kind for kind, words in KEYWORDS.items() if any(word in schema for word in words)]
            if not kinds:
                _only(schema, set(), where)
                return "value"
            # Keywords without a type say nothing of other types; what is meant is the type.
            kinds = kinds[:1]
        kinds = kinds if isinstance(kinds, list) else [kinds]
        if not kinds or any(not isinstance(kind, str) or kind not in KEYWORDS for kind in kinds):
            raise SchemaError(
                f"the schema at {where} has the type {schema.get('type')!r}; expected one of {', '.join(KEYWORDS)}"
            )
        _only(schema, {"type"}.union(*(KEYWORDS[kind] for kind in kinds)), where)
        names = [self._kind(kind, schema, where) for kind in dict.fromkeys(kinds)]
        return names[0] if len(names) == 1 else self.add("any", " | ".join(names))

    def _kind(self, kind: str, schema: Mapping[str, Any], where: str) -> str:
        match kind:
            case "object":
                return self._object(schema, where)
            case "array":
                return self._array(schema, where)
            case "string":
                return self._string(schema, where)
            case "integer":
                return self._integer(schema, where)
            case "number" if KEYWORDS["number"] & schema.keys():
                return self._number(schema, where)
        return kind

    def _object(self, schema: Mapping[str, Any], where: str) -> str:
        properties = schema.get("properties", {})
        required = schema.get("required", [])
        further = schema.get("additionalProperties", not properties)
        if not isinstance(properties, Mapping) or not isinstance(required, list):
            raise SchemaError(f"the schema at {where} has properties or required of the wrong kind")
        missing = [name for name in required if name not in properties]
        if missing and further is False:
            raise SchemaError(f"the schema at {where} requires {missing[0]!r}, which is not among its properties")
        if len(properties) + len(missing) > MAX_PROPERTIES:
            raise SchemaError(f"the schema at {where} has more than {MAX_PROPERTIES} properties")
        free = "value" if further in (True, False) else self.of(further, f"{where}/additionalProperties")
        members: list[tuple[str, bool]] = []
        for name, part in properties.items():
            if part is False:
                continue
            rule = self.of(part, f"{where}/properties/{name}")
            member = self.add("property", f'{json_literal(name)} space ":" space {rule}')
            members.append((member, name in required))
        for name in missing:
            members.append((self.add("property", f'{json_literal(name)} space ":" space {free}'), True))
        extra = self.add("further", f'string space ":" space {free}') if further is not False else None
        return self.add("object", _object_body(self, members, extra))

    def _array(self, schema: Mapping[str, Any], where: str) -> str:
        first = schema.get("prefixItems", [])
        items = schema.get("items", True)
        low, high = _count(schema, "minItems", where) or 0, _count(schema, "maxItems", where)
        if high is not None and low > high:
            raise SchemaError(f"the schema at {where} has minItems over its maxItems")
        names = [
            self.of(part, f"{where}/prefixItems/{index}") for index, part in enumerate(_list(first, where, empty=True))
        ]
        if high is not None:
            names = names[:high]
        rest = None if items is False else self.of(items, f"{where}/items")
        if items is False and low > len(names):
            raise SchemaError(f"the schema at {where} has more minItems than items")
        body = ""
        if rest is not None and (high is None or high > len(names)):
            least = max(0, low - len(names))
            most = "" if high is None else str(high - len(names))
            if names:
                body = f'(space "," space {rest}){{{least},{most}}}'
            elif high is None or high > 0:
                tail = f'{rest} (space "," space {rest}){{{max(0, least - 1)},{"" if high is None else high - 1}}}'
                body = tail if least else f"({tail})?"
        for index in range(len(names) - 1, -1, -1):
            comma = 'space "," space ' if index else ""
            body = f"{comma}{names[index]} {body}"
            if index >= low:
                body = f"({body})?"
        return self.add("array", f'"[" space {body} space "]"')

    def _string(self, schema: Mapping[str, Any], where: str) -> str:
        low, high = _count(schema, "minLength", where) or 0, _count(schema, "maxLength", where)
        if high is not None and low > high:
            raise SchemaError(f"the schema at {where} has minLength over its maxLength")
        pattern, form = schema.get("pattern"), schema.get("format")
        if pattern is not None and (form is not None or low or high is not None):
            raise SchemaError(
                f"the schema at {where} has pattern beside format or lengths, which a grammar cannot combine"
            )
        if pattern is not None:
            try:
                body = pattern_rule(pattern)
            except PatternError as error:
                raise SchemaError(
                    f"the schema at {where} has a pattern that no grammar can express: {error}"
                ) from error
            return self.add("pattern", f'"\\"" {body} "\\""')
        if form is not None:
            if form not in FORMATS or low or high is not None:
                known = ", ".join(FORMATS)
                raise SchemaError(
                    f"the schema at {where} has the format {form!r}; expected one of {known}, without lengths"
                )
            return self.add("format", f'"\\"" {FORMATS[form]} "\\""')
        if not low and high is None:
            return "string"
        return self.add("string", f'"\\"" character{{{low},{"" if high is None else high}}} "\\""')

    def _number(self, schema: Mapping[str, Any], where: str) -> str:
        """Bounded numbers from 0, without exponents."""
        low, high = schema.get("minimum", 0), schema.get("maximum")
        whole = all(value is None or (_is(value, "integer") and 0 <= value <= 10**15) for value in (low, high))
        if not whole or {"exclusiveMinimum", "exclusiveMaximum"} & schema.keys() or "minimum" not in schema:
            message = "bounds a number; a grammar can do that only by whole minimum and maximum from 0"
            raise SchemaError(f"the schema at {where} {message}")
        if high is None:
            return self.add("number", f'({integer_rule(int(low), None)}) ("." digits)?')
        if low > high:
            raise SchemaError(f"the schema at {where} has limits that no number meets")
        parts = [f'"{int(high)}" ("." "0"{{1,15}})?']
        if low < high:
            parts.append(f'({integer_rule(int(low), int(high) - 1)}) ("." digits)?')
        return self.add("number", " | ".join(parts))

    def _integer(self, schema: Mapping[str, Any], where: str) -> str:
        limits: list[int | None] = []
        for key, exclusive, step in (("minimum", "exclusiveMinimum", 1), ("maximum", "exclusiveMaximum", -1)):
            bounds = []
            for word, offset in ((key, 0), (exclusive, step)):
                if word in schema:
                    value = schema[word]
                    if (
                        isinstance(value, bool)
                        or not isinstance(value, int | float)
                        or value != int(value)
                        or abs(value) > 10**15
                    ):
                        raise SchemaError(f"the schema at {where} has {word} {value!r}; expected a whole number")
                    bounds.append(int(value) + offset)
            limits.append((max(bounds) if step > 0 else min(bounds)) if bounds else None)
        low, high = limits
        if low is None and high is None:
            return "integer"
        if low is not None and high is not None and low > high:
            raise SchemaError(f"the schema at {where} has limits that no number meets")
        return self.add("integer", integer_rule(low, high))


def _object_body(rules: Rules, members: Sequence[tuple[str, bool]], extra: str | None) -> str:
    """The members in order. `rest` of an index is what may follow once a member has been written before it."""
    comma = 'space "," space'
    rest = f"({comma} {extra})*" if extra else ""
    first = f"({extra} {rest})?" if extra else ""
    for name, needed in reversed(members):
        begin = f"{name} {rest}"
        if needed:
            first, rest = begin, f"{comma} {begin}"
        else:
            first = f"{begin} | {first or EMPTY}"
            rest = f"({comma} {name})? {rest}"
            first = rules.add("first", first)
        if rest:
            rest = rules.add("rest", rest)
    return f'"{{" space {first} space "}}"' if first else '"{" space "}"'


def _only(schema: Mapping[str, Any], known: set[str] | frozenset[str], where: str) -> None:
    unknown = sorted(schema.keys() - known)
    if unknown:
        raise SchemaError(f"the schema at {where} has keywords that cannot be kept here: {', '.join(unknown)[:200]}")


def _list(value: Any, where: str, *, empty: bool = False) -> list[Any]:
    if not isinstance(value, list) or not (value or empty):
        raise SchemaError(f"{where} is no list with values")
    return value


def _count(schema: Mapping[str, Any], key: str, where: str) -> int | None:
    value = schema.get(key)
    if value is None:
        return None
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or value != int(value)
        or not 0 <= value <= MAX_REPEAT
    ):
        raise SchemaError(f"the schema at {where} has {key} {value!r}; expected 0 to {MAX_REPEAT}")
    return int(value)


def _same(first: Any, second: Any) -> bool:
    return bool(first == second and isinstance(first, bool) == isinstance(second, bool))


def _whole(value: Any) -> bool:
    return isinstance(value, float) and value.is_integer()


def _is(value: Any, kind: Any) -> bool:
    match kind:
        case "object":
            return isinstance(value, Mapping)
        case "array":
            return isinstance(value, list)
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "null":
            return value is None
        case "integer":
            return not isinstance(value, bool) and (isinstance(value, int) or _whole(value))
        case "number":
            return not isinstance(value, bool) and isinstance(value, int | float)
    return False
