# SPDX-License-Identifier: Apache-2.0
"""Conversations and tools of the contract as chat templates take them, which is as OpenAI's API has them."""

import json
from contextlib import suppress
from typing import Any

from cowabungaai_sdk.v1.chat_pb2 import (
    ROLE_ASSISTANT,
    ROLE_DEVELOPER,
    ROLE_SYSTEM,
    ROLE_TOOL,
    ROLE_USER,
    ChatMessage,
    Tool,
    ToolCall,
)

ROLES = {
    ROLE_SYSTEM: "system",
    # Templates know no developer; what OpenAI's newer models call so is the older ones' system.
    ROLE_DEVELOPER: "system",
    ROLE_USER: "user",
    ROLE_ASSISTANT: "assistant",
    ROLE_TOOL: "tool",
}
NO_ARGUMENTS = '{"type": "object", "properties": {}}'
"""The schema of a function whose tool names none."""


def message(given: ChatMessage, content: str) -> dict[str, Any]:
    """A message for a template.

    Args:
        given: as the contract has it.
        content: its parts as one text, as the backend reads them.
    """
    made: dict[str, Any] = {"role": ROLES[given.role], "content": content}
    if given.name:
        made["name"] = given.name
    if given.tool_call_id:
        made["tool_call_id"] = given.tool_call_id
    if given.reasoning:
        made["reasoning_content"] = given.reasoning
    if given.tool_calls:
        made["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": _arguments(call)}}
            for call in given.tool_calls
        ]
    return made


def function(tool: Tool) -> dict[str, Any]:
    """A tool for a template.

    Args:
        tool: as the contract has it.
    """
    described = {"name": tool.name, "description": tool.description, "parameters": json.loads(schema(tool))}
    return {"type": "function", "function": described}


def schema(tool: Tool) -> str:
    """The JSON Schema of a tool's arguments, as a JSON text.

    Args:
        tool: as the contract has it.
    """
    return tool.parameters or NO_ARGUMENTS


def _arguments(call: ToolCall) -> Any:
    """Templates want an object; what the model once wrote may be none, and stays a text."""
    with suppress(ValueError, RecursionError):
        return json.loads(call.arguments)
    return call.arguments
