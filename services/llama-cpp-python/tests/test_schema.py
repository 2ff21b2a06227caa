# SPDX-License-Identifier: Apache-2.0
"""Schemas as grammars. The grammars are read by a reader of our own here, which knows as much of GBNF as they use."""

import json
import re

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cowabungaai_llama_cpp import grammars
from cowabungaai_llama_cpp.numbers import integer_rule
from cowabungaai_llama_cpp.schema import SchemaError, grammar_of
from cowabungaai_llama_cpp.toolcalls import HERMES, JSON, MISTRAL
from cowabungaai_sdk.errors import InvalidRequestError
from cowabungaai_sdk.v1.chat_pb2 import ResponseFormat, Tool
from gbnf import matches

NODE = {
    "type": "object",
    "properties": {"next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/n"}]}},
    "required": ["next"],
}

KEPT = [
    ({}, [{"a": 1}, [1, 2], "x", True, -1.5e3, None], []),
    (
        {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}, "required": ["a"]},
        [{"a": 1}, {"a": 1, "b": "x"}],
        [{}, {"b": "x"}, {"a": "1"}],
    ),
    (
        {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}, "c": {"type": "null"}}},
        [{}, {"b": "x"}, {"a": 1, "c": None}, {"c": None}, {"b": "x", "c": None}, {"a": 1, "b": "", "c": None}],
        [{"a": None}],
    ),
    (
        {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": {"type": "boolean"}},
        [{}, {"a": 1}, {"a": 1, "z": True, "y": False}, {"z": True}],
        [{"z": 1}],
    ),
    ({"type": "object"}, [{}, {"q": [1]}], [[]]),
    ({"type": "object", "required": ["x"]}, [{"x": 1}, {"x": 1, "y": 2}], [{}]),
    (
        {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 3},
        [[1, 2], [1, 2, 3]],
        [[1], [1] * 4, []],
    ),
    ({"type": "array", "items": {"type": "integer"}, "maxItems": 2}, [[], [1], [1, 2]], [[1, 2, 3], ["x"]]),
    ({"type": "array", "maxItems": 0}, [[]], [[1]]),
    (
        {"type": "array", "prefixItems": [{"type": "null"}, {"type": "boolean"}], "items": False, "minItems": 1},
        [[None], [None, True]],
        [[], [None, True, 1], [True]],
    ),
    (
        {"type": "array", "prefixItems": [{"type": "null"}], "items": {"type": "integer"}},
        [[], [None], [None, 1, 2]],
        [[1]],
    ),
    ({"enum": ["a", 'b"q\\', 3, None, {"k": [1]}, "é\n"]}, ["a", 'b"q\\', 3, None, {"k": [1]}, "é\n"], ["c", 4]),
    ({"const": "x"}, ["x"], ["y"]),
    ({"type": ["string", "null"], "maxLength": 3}, ["abc", None, ""], ["abcd", 1]),
    ({"type": "string", "minLength": 2}, ["ab", '"\n'], ["a"]),
    ({"type": "string", "pattern": "^[a-c]{2}-\\d+$"}, ["ab-12"], ["ad-12", "ab-", "xab-1"]),
    ({"type": "string", "pattern": "foo|ba[rz]"}, ["foo", "xx baz y"], ["fo"]),
    ({"type": "string", "pattern": "^(a|bc)*x?.$"}, ["abcax!", "x"], ["", "ab!!"]),
    ({"type": "string", "format": "date"}, ["2024-01-31"], ["2024-13-01", "today"]),
    ({"type": "string", "format": "uuid"}, ["123e4567-e89b-12d3-a456-426614174000"], ["1"]),
    ({"anyOf": [{"type": "integer", "minimum": 3}, {"type": "null"}]}, [3, None, 100], [2]),
    ({"type": "integer", "exclusiveMinimum": -2, "exclusiveMaximum": 12}, [-1, 0, 5, 11], [-2, 12, 1.5]),
    ({"type": "number", "minimum": 2, "maximum": 10}, [2, 9.75, 10, 10.0], [1.9, 10.1, -3]),
    ({"$defs": {"n": NODE}, "$ref": "#/$defs/n"}, [{"next": None}, {"next": {"next": None}}], [{}]),
    (
        {"allOf": [{"properties": {"a": {"type": "null"}}, "required": ["a"]}, {"required": ["a"]}], "type": "object"},
        [{"a": None}],
        [{}],
    ),
]


@pytest.mark.parametrize(("schema", "good", "bad"), KEPT)
def test_grammar_is_the_schema(schema, good, bad):
    grammar = grammar_of(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for value in good:
        assert validator.is_valid(value)
        assert matches(grammar, json.dumps(value, ensure_ascii=False))
        assert matches(grammar, json.dumps(value, ensure_ascii=False, separators=(",", ":"))) or isinstance(value, dict)
    for value in bad:
        assert not validator.is_valid(value) or schema.get("format")
        assert not matches(grammar, json.dumps(value, ensure_ascii=False))


@given(st.integers(-300, 300), st.integers(0, 600), st.integers(-1000, 1000))
def test_whole_numbers_between_limits(low, span, number):
    rule = re.compile(integer_rule(low, low + span).replace('"', "").replace(" ", ""))
    assert bool(rule.fullmatch(str(number))) == (low <= number <= low + span)


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "integer", "multipleOf": 3}, "keywords that cannot be kept here: multipleOf"),
        ({"not": {}}, "keywords that cannot be kept here: not"),
        ({"type": "object", "patternProperties": {}}, "patternProperties"),
        ({"type": "array", "uniqueItems": True}, "uniqueItems"),
        ({"type": "strange"}, "the type .*strange.*; expected one of"),
        ({"type": "number", "exclusiveMinimum": 0}, "bounds a number"),
        ({"type": "string", "pattern": "(?=a)"}, "it has assert"),
        ({"type": "string", "pattern": "("}, "it cannot be read"),
        ({"type": "string", "pattern": "a{5000}"}, "repeats something more than 1000 times"),
        ({"type": "string", "format": "email"}, "the format 'email'; expected one of date"),
        ({"type": "string", "minLength": 3, "maxLength": 2}, "minLength over its maxLength"),
        ({"type": "array", "minItems": 3, "maxItems": 2}, "minItems over its maxItems"),
        ({"type": "integer", "minimum": 3, "maximum": 2}, "limits that no number meets"),
        ({"type": "string", "maxLength": 10**9}, "maxLength 1000000000; expected 0 to 1000"),
        ({"$ref": "https://example.org/x"}, "expected a place in the schema"),
        ({"$ref": "#/$defs/x"}, "which is not there"),
        ({"const": 1, "enum": [2]}, "no value can meet"),
        ({"required": ["a"], "additionalProperties": False}, "requires 'a', which is not among its properties"),
        ({"properties": {"a": 3}}, "at #/properties/a is 3; expected an object"),
        ({"allOf": [{"type": "string"}, {"type": "null"}]}, "differ in type"),
        ({"anyOf": []}, "no list with values"),
        ({"enum": ["x" * 300_000]}, "too large"),
        ({"properties": {str(number): {} for number in range(101)}}, "more than 100 properties"),
    ],
)
def test_what_no_grammar_can_keep_is_refused(schema, message):
    with pytest.raises(SchemaError, match=message):
        grammar_of(schema)


CLOCK = Tool(name="clock")
WEATHER = Tool(
    name="weather",
    parameters=json.dumps(
        {
            "$defs": {"c": {"const": "Rome"}},
            "properties": {"city": {"$ref": "#/$defs/c"}},
            "required": ["city"],
            "type": "object",
        }
    ),
)
ROME = '{"name": "weather", "arguments": {"city": "Rome"}}'
NOW = '{"name": "clock", "arguments": {}}'


@pytest.mark.parametrize(
    ("form", "options", "good", "bad"),
    [
        (JSON, {"parallel": False}, [ROME, NOW], [f"[{ROME}]", ROME.replace("Rome", "Oslo"), "hello", "{}"]),
        (JSON, {"parallel": True}, [ROME, f"[{ROME}, {NOW}]"], ["[]"]),
        (
            HERMES,
            {"parallel": True},
            [f"<tool_call>\n{ROME}\n</tool_call>", f"<tool_call>{ROME}</tool_call>\n<tool_call>{NOW}</tool_call>"],
            [ROME],
        ),
        (MISTRAL, {"parallel": False}, [f"[TOOL_CALLS][{ROME}]"], [f"[TOOL_CALLS][{ROME}, {NOW}]"]),
        (JSON, {"parallel": False, "text": True}, [ROME, "Hello {there}"], ["{no call}"]),
        (JSON, {"parallel": False, "schema": {"enum": ["yes", "no"]}}, [ROME, '"yes"'], ['"perhaps"', "yes"]),
    ],
)
def test_calls_keep_to_the_schemas(form, options, good, bad):
    grammar = grammars.call_grammar([CLOCK, WEATHER], form, **options)
    assert all(matches(grammar, text) for text in good)
    assert not any(matches(grammar, text) for text in bad)


def test_tool_without_grammar_is_refused_by_place():
    tool = Tool(name="x", parameters='{"type": "integer", "multipleOf": 2}')
    with pytest.raises(InvalidRequestError) as raised:
        grammars.call_grammar([CLOCK, tool], JSON, parallel=True)
    assert raised.value.param == "tools[1].parameters"


@pytest.mark.parametrize(
    ("form", "schema"),
    [
        (ResponseFormat(text={}), None),
        (ResponseFormat(json_object={}), {"type": "object"}),
        (ResponseFormat(json_schema={"name": "x"}), {"type": "object"}),
        (ResponseFormat(json_schema={"name": "x", "schema": '{"type": "null"}'}), {"type": "null"}),
    ],
)
def test_schemas_of_formats(form, schema):
    assert grammars.answer_schema(form) == schema
