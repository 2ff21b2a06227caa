# SPDX-License-Identifier: Apache-2.0
"""Tools that must be called: the schema that makes the engine write a call, and the calls that it wrote."""

import json
import secrets
from collections.abc import Sequence
from typing import Any

from cowabungaai_sdk.templates import schema
from cowabungaai_sdk.v1.chat_pb2 import ChatRequest, Tool, ToolCallDelta, ToolChoice


def mode_of(request: ChatRequest) -> "ToolChoice.Mode":
    """Whether tools are called; what an unset choice means is said here.

    Args:
        request: the conversation.
    """
    if not request.tools:
        return ToolChoice.MODE_NONE
    if request.tool_choice.mode == ToolChoice.MODE_UNSPECIFIED:
        return ToolChoice.MODE_AUTO
    return request.tool_choice.mode


def offered(request: ChatRequest) -> list[Tool]:
    """The tools that may be called.

    Args:
        request: the conversation.
    """
    choice = request.tool_choice
    if mode_of(request) == ToolChoice.MODE_FUNCTION:
        return [tool for tool in request.tools if tool.name == choice.function]
    return [tool for tool in request.tools if not choice.allowed or tool.name in choice.allowed]


def parallel(request: ChatRequest) -> bool:
    """Whether one answer may have several calls.

    Args:
        request: the conversation.
    """
    return not request.HasField("parallel_tool_calls") or request.parallel_tool_calls


def schema_of(tools: Sequence[Tool], several: bool) -> dict[str, Any]:
    """JSON Schema of a list of calls, as `calls_of` reads it.

    Args:
        tools: one of which each call is.
        several: whether there may be more than one.
    """
    definitions: dict[str, Any] = {}
    calls = []
    for tool in tools:
        parameters: dict[str, Any] = json.loads(schema(tool))
        # References start at the root of the schema that they are moved into.
        definitions.update(parameters.pop("$defs", {}))
        calls.append(
            {
                "type": "object",
                "properties": {"name": {"enum": [tool.name]}, "arguments": parameters},
                "required": ["name", "arguments"],
                "additionalProperties": False,
            }
        )
    found: dict[str, Any] = {"type": "array", "minItems": 1, "items": {"anyOf": calls}}
    if not several:
        found["maxItems"] = 1
    if definitions:
        found["$defs"] = definitions
    return found


def calls_of(text: str) -> list[ToolCallDelta]:
    """The calls in a text that keeps to schema_of.

    Args:
        text: what the engine wrote; it is cut where the engine ran out of tokens.

    Returns:
        Whole calls; where the text is cut, one with no name is left out.
    """
    try:
        written = json.loads(text)
    except ValueError:
        return []
    return [
        ToolCallDelta(
            index=index, id=new_id(), name=call["name"], arguments=json.dumps(call["arguments"], ensure_ascii=False)
        )
        for index, call in enumerate(written)
    ]


def new_id() -> str:
    """A call's id, unique in every conversation."""
    return f"call_{secrets.token_hex(12)}"
