# SPDX-License-Identifier: Apache-2.0
"""The grammar that an answer must keep to: JSON by a schema, calls of functions, or either."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from cowabungaai_llama_cpp.schema import Rules, SchemaError, literal
from cowabungaai_llama_cpp.toolcalls import MAX_CALLS, CallFormat
from cowabungaai_sdk.errors import InvalidRequestError
from cowabungaai_sdk.v1.chat_pb2 import ResponseFormat, Tool

ANY_OBJECT: dict[str, Any] = {"type": "object"}
NO_ARGUMENTS: dict[str, Any] = {"type": "object", "properties": {}}
SCHEMA_PARAM = "response_format.json_schema.schema"


def answer_schema(form: ResponseFormat) -> Any:
    """The schema that a response format stands for; None where any text will do.

    Args:
        form: checked.
    """
    match form.WhichOneof("format"):
        case "json_object":
            return ANY_OBJECT
        case "json_schema":
            return json.loads(form.json_schema.schema) if form.json_schema.HasField("schema") else ANY_OBJECT
    return None


def answer_grammar(schema: Any) -> str:
    """The grammar of answers that keep to a schema.

    Args:
        schema: as json.loads gives it.

    Raises:
        InvalidRequestError: a grammar cannot express it.
    """
    rules = Rules(schema)
    try:
        rules.add("root", rules.of(schema, "#"))
    except SchemaError as error:
        raise InvalidRequestError(str(error), SCHEMA_PARAM) from error
    return rules.text()


def call_grammar(
    tools: Sequence[Tool], form: CallFormat, *, parallel: bool, text: bool = False, schema: Any = None
) -> str:
    """The grammar of answers that are calls with arguments by the functions' schemas.

    Args:
        tools: the functions that may be called, at least one.
        form: how the model writes calls.
        parallel: whether an answer may have several.
        text: whether an answer may be a text instead, which does not begin as a call does.
        schema: a schema to which an answer may keep instead; None where it may not.

    Raises:
        InvalidRequestError: a grammar cannot express a schema.
    """
    # One schema holds all others, so that they may be in one grammar; their references are made to fit.
    parts: dict[str, Any] = {"answer": _moved(schema, "#/$defs/answer")}
    for index, tool in enumerate(tools):
        own = (
            json.loads(tool.parameters)
            if tool.HasField("parameters")
            else {"type": "object", "properties": {}, "additionalProperties": False}
        )
        parts[f"tool{index}"] = _moved(own, f"#/$defs/tool{index}")
    rules = Rules({"$defs": parts})
    calls = []
    for index, tool in enumerate(tools):
        call = {
            "type": "object",
            "properties": {"name": {"const": tool.name}, form.arguments: {"$ref": f"#/$defs/tool{index}"}},
            "required": ["name", form.arguments],
        }
        try:
            calls.append(rules.of(call, "#"))
        except SchemaError as error:
            raise InvalidRequestError(str(error), f"tools[{index}].parameters") from error
    roots = [_calls(rules, rules.add("call", " | ".join(calls)), form, parallel)]
    if schema is not None:
        try:
            roots.append(rules.of({"$ref": "#/$defs/answer"}, "#"))
        except SchemaError as error:
            raise InvalidRequestError(str(error), SCHEMA_PARAM) from error
    elif text:
        first = form.begin[:1] or "{["
        members = "".join(f"\\x{ord(character):02X}" for character in first)
        roots.append(rules.add("text", f"[^{members}] [^\\x00]*"))
    rules.add("root", " | ".join(roots))
    return rules.text()


def _calls(rules: Rules, call: str, form: CallFormat, parallel: bool) -> str:
    more = MAX_CALLS - 1 if parallel else 0
    if form.listed:
        body = f'{literal(form.begin)} "[" {call} ("," space {call}){{0,{more}}} "]"'
    elif form.begin:
        one = rules.add("marked", f'{literal(form.begin)} "\\n"? {call} "\\n"? {literal(form.end)}')
        body = f'{one} ("\\n" {one}){{0,{more}}}'
    elif parallel:
        body = f'{call} | "[" space {call} (space "," space {call}){{0,{more}}} space "]"'
    else:
        body = call
    return rules.add("calls", body)


def _moved(schema: Any, place: str) -> Any:
    """A schema whose references to itself still hold once it is at another place."""
    if isinstance(schema, list):
        return [_moved(item, place) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    found = {key: _moved(value, place) for key, value in schema.items()}
    reference = found.get("$ref")
    if isinstance(reference, str) and reference.startswith("#"):
        found["$ref"] = place + reference[1:]
    return found
