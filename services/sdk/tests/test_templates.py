# SPDX-License-Identifier: Apache-2.0
"""Messages and tools as chat templates take them."""

import pytest

from cowabungaai_sdk import templates
from cowabungaai_sdk.v1.chat_pb2 import (
    ROLE_ASSISTANT,
    ROLE_DEVELOPER,
    ROLE_TOOL,
    ROLE_UNSPECIFIED,
    ROLE_USER,
    ChatMessage,
    Role,
    Tool,
    ToolCall,
)


def test_a_message_has_what_it_was_given_and_nothing_else():
    assert templates.message(ChatMessage(role=ROLE_USER), "hi") == {"role": "user", "content": "hi"}
    told = ChatMessage(role=ROLE_TOOL, name="clock", tool_call_id="c1")
    expected = {"role": "tool", "content": "noon", "name": "clock", "tool_call_id": "c1"}
    assert templates.message(told, "noon") == expected
    thought = templates.message(ChatMessage(role=ROLE_ASSISTANT, reasoning="hm"), "")
    assert thought == {"role": "assistant", "content": "", "reasoning_content": "hm"}


def test_every_role_has_a_name_and_developers_are_the_system():
    assert templates.ROLES.keys() == set(Role.values()) - {ROLE_UNSPECIFIED}
    assert templates.message(ChatMessage(role=ROLE_DEVELOPER), "x")["role"] == "system"


@pytest.mark.parametrize(
    ("written", "expected"),
    [('{"city": "Oslo"}', {"city": "Oslo"}), ("not json", "not json"), ("[" * 100_000, "[" * 100_000)],
)
def test_a_calls_arguments_are_an_object_where_they_can_be_read(written, expected):
    call = ToolCall(id="c1", name="weather", arguments=written)
    (made,) = templates.message(ChatMessage(role=ROLE_ASSISTANT, tool_calls=[call]), "")["tool_calls"]
    assert made == {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": expected}}


def test_a_tool_without_a_schema_takes_no_arguments():
    assert templates.function(Tool(name="clock"))["function"]["parameters"] == {"type": "object", "properties": {}}
    given = templates.function(Tool(name="f", description="does", parameters='{"type": "string"}'))
    expected = {"name": "f", "description": "does", "parameters": {"type": "string"}}
    assert given == {"type": "function", "function": expected}
