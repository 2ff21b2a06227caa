# SPDX-License-Identifier: Apache-2.0
"""Tool calls and answers in JSON."""

import json

import jsonschema
import pytest

from conversations import answer, said
from cowabungaai_repeater.schema import instance
from cowabungaai_sdk.errors import InvalidRequestError
from cowabungaai_sdk.v1.chat_pb2 import ResponseFormat, Tool, ToolChoice
from cowabungaai_sdk.v1.common_pb2 import FINISH_REASON_LENGTH, FINISH_REASON_STOP, FINISH_REASON_TOOL_CALLS

pytestmark = pytest.mark.anyio

WEATHER = Tool(
    name="weather",
    parameters=json.dumps(
        {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 2}},
            "required": ["city"],
        }
    ),
)
CLOCK = Tool(name="clock")
NOTE = Tool(name="note", parameters='{"type": "object"}')
TOOLS = [WEATHER, CLOCK, NOTE]


def choice(mode: int, **parts: object) -> ToolChoice:
    return ToolChoice(mode=mode, **parts)


async def calls(client, text, **parameters):
    found = (await client.chat(said(text, tools=TOOLS, **parameters))).choices[0]
    return [(call.name, json.loads(call.arguments)) for call in found.message.tool_calls], found.finish_reason


@pytest.mark.parametrize(
    ("text", "parameters", "expected"),
    [
        ("Rome", {"tool_choice": choice(ToolChoice.MODE_REQUIRED)}, [("weather", {"city": "Rome", "days": 2})]),
        ("x", {"tool_choice": choice(ToolChoice.MODE_REQUIRED, allowed=["clock"])}, [("clock", {})]),
        ("x", {"tool_choice": choice(ToolChoice.MODE_FUNCTION, function="note")}, [("note", {"text": "x"})]),
        ("/repeat call=note -- x", {}, [("note", {"text": "x"})]),
        ("/repeat call=clock,note -- x", {}, [("clock", {}), ("note", {"text": "x"})]),
        ("/repeat call=clock,note -- x", {"parallel_tool_calls": False}, [("clock", {})]),
        ("/repeat call=clock", {"tool_choice": choice(ToolChoice.MODE_REQUIRED)}, [("clock", {})]),
    ],
)
async def test_tools_are_called(client, text, parameters, expected):
    assert await calls(client, text, **parameters) == (expected, FINISH_REASON_TOOL_CALLS)


@pytest.mark.parametrize(
    ("text", "parameters"), [("x", {}), ("/repeat call=note -- x", {"tool_choice": choice(ToolChoice.MODE_NONE)})]
)
async def test_no_tool_is_called_without_need(client, text, parameters):
    assert await answer(client, said(text, tools=TOOLS, **parameters)) == ("x", FINISH_REASON_STOP)


@pytest.mark.parametrize("parameters", [{}, {"tool_choice": choice(ToolChoice.MODE_AUTO, allowed=["note"])}])
async def test_control_may_call_only_what_is_allowed(client, parameters):
    name = "clock" if parameters else "nothing"
    with pytest.raises(InvalidRequestError, match=f"calls '{name}', which is no tool that may be called"):
        await client.chat(said(f"/repeat call={name}", tools=TOOLS, **parameters))


async def test_calls_stream_in_pieces_with_id_and_name_once(client):
    request = said("/repeat call=weather,clock -- Paris in the spring", tools=TOOLS)
    pieces = [call async for chunk in client.chat_stream(request) for c in chunk.choices for call in c.tool_calls]
    first = [piece for piece in pieces if piece.index == 0]
    assert (first[0].name, first[0].id.startswith("call_")) == ("weather", True)
    assert not any(piece.HasField("id") or piece.HasField("name") for piece in first[1:])
    assert len(first) > 3
    assert json.loads("".join(piece.arguments for piece in first))["city"] == "Paris in the spring"
    assert len({piece.id for piece in pieces if piece.id}) == 2


async def test_ids_are_the_same_for_the_same_request(client):
    request = said("/repeat call=note -- x", tools=TOOLS)
    ids = [(await client.chat(request)).choices[0].message.tool_calls[0].id for _ in range(2)]
    assert ids[0] == ids[1]


async def test_max_tokens_cuts_calls(client):
    request = said("/repeat call=weather -- x", tools=TOOLS, max_tokens=2)
    found = (await client.chat(request)).choices[0]
    assert (found.finish_reason, found.message.tool_calls[0].arguments) == (FINISH_REASON_LENGTH, '{"city":')


async def test_tools_count_as_prompt(client):
    plain = (await client.chat(said("x"))).usage.prompt_tokens
    assert (await client.chat(said("x", tools=[NOTE]))).usage.prompt_tokens > plain


async def test_json_object_has_the_text(client):
    request = said('say "hi"', response_format=ResponseFormat(json_object={}))
    assert json.loads((await answer(client, request))[0]) == {"echo": 'say "hi"'}


async def test_json_schema_is_kept(client):
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    form = ResponseFormat(json_schema={"name": "x", "schema": json.dumps(schema)})
    assert json.loads((await answer(client, said("Rome", response_format=form)))[0]) == {"city": "Rome"}


async def test_json_schema_without_schema_is_an_object(client):
    form = ResponseFormat(json_schema={"name": "x"})
    assert (await answer(client, said("Rome", response_format=form)))[0] == "{}"


async def test_text_format_is_the_echo(client):
    assert (await answer(client, said("Rome", response_format=ResponseFormat(text={}))))[0] == "Rome"


NEXT = {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/node"}]}
CHAIN = {
    "$defs": {"node": {"type": "object", "properties": {"next": NEXT}, "required": ["next"]}},
    "$ref": "#/$defs/node",
}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({}, "hello"),
        ({"type": "string", "minLength": 7}, "hello.."),
        ({"type": "string", "maxLength": 2}, "he"),
        ({"type": ["integer", "null"], "minimum": 1.5}, 2),
        ({"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 5}, 4),
        ({"type": "integer", "maximum": -3}, -3),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, 0.5),
        ({"type": "number", "exclusiveMaximum": 0}, -1),
        ({"type": "boolean"}, False),
        ({"type": "null"}, None),
        ({"enum": ["b", "a"]}, "b"),
        ({"type": "integer", "enum": ["b", 2.0]}, 2.0),
        ({"type": "boolean", "enum": [1, True]}, True),
        ({"const": {"a": 1}}, {"a": 1}),
        ({"const": 2, "enum": [1, 2]}, 2),
        ({"type": "array", "items": {"type": "integer"}}, []),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, [0, 0]),
        (
            {"prefixItems": [{"type": "null"}], "items": {"type": "boolean"}, "minItems": 2, "maxItems": 2},
            [None, False],
        ),
        ({"required": ["a"], "additionalProperties": {"type": "integer"}}, {"a": 0}),
        ({"required": ["a"]}, {"a": "hello"}),
        ({"minimum": 4}, 4),
        ({"anyOf": [{"type": "null"}, {"type": "string"}], "title": "x"}, None),
        (CHAIN, {"next": None}),
        ({"type": "object", "properties": {"a": {"$ref": "#"}}}, {}),
        (
            {"type": "object", "properties": {"a": {"type": "object", "required": ["b"]}}, "required": ["a"]},
            {"a": {"b": "hello"}},
        ),
    ],
)
def test_instance_is_valid(schema, expected):
    made = instance(json.dumps(schema), "hello", "schema")
    jsonschema.Draft202012Validator(schema).validate(made)
    assert (made, type(made)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (
            {"type": "string", "pattern": "^a$", "format": "date"},
            "keywords that the repeater does not know: format, pattern",
        ),
        ({"oneOf": [{}]}, "does not know: oneOf"),
        ({"type": "strange"}, "the type 'strange'; expected one of"),
        ({"type": []}, "the type"),
        ({"anyOf": [{}], "type": "string"}, "has type beside anyOf, which the repeater cannot combine"),
        ({"anyOf": []}, "an anyOf without alternatives"),
        ({"$ref": "https://example.org/x"}, "expected a place in the schema"),
        ({"$ref": "#/$defs/x"}, "refers to '#/$defs/x', which is not there"),
        ({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}, "nested more than 32 deep"),
        ({"type": "integer", "enum": ["a"]}, "a const or enum that no value can meet"),
        ({"const": 1, "enum": [2]}, "a const or enum that no value can meet"),
        ({"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 2}, "limits that no number meets"),
        ({"type": "string", "minLength": 3, "maxLength": 2}, "minLength over its maxLength"),
        ({"type": "array", "minItems": 3, "maxItems": 2}, "minItems over its maxItems"),
        ({"required": ["a"], "additionalProperties": False}, "requires 'a', which is not among its properties"),
        ({"required": ["a"], "properties": {"a": False}}, "is False; expected an object"),
    ],
)
def test_schema_that_cannot_be_kept_is_refused(schema, message):
    with pytest.raises(InvalidRequestError, match="the schema at #") as raised:
        instance(json.dumps(schema), "hello", "schema")
    assert message in str(raised.value)
    assert raised.value.param == "schema"
