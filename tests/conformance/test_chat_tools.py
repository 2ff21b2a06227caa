# SPDX-License-Identifier: Apache-2.0
"""chat/completions: tools, the forms of tool_choice, and conversations that go on after a call."""

from __future__ import annotations

from typing import Annotated, Any

import openai
import pytest
from pydantic import BaseModel, Field

from conformance.ask import CLOCK, TEXT, WEATHER, check_chat, is_json, said

pytestmark = [pytest.mark.endpoint("chat/completions"), pytest.mark.needs("chat")]
QUESTION = said("What is the weather in Rome?")
NAMED: Any = {"type": "function", "function": {"name": "weather"}}
ALLOWED: Any = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [NAMED]}}


class Weather(BaseModel):
    """The weather in a city."""

    city: Annotated[str, Field(max_length=TEXT["maxLength"])]


@pytest.mark.parametrize("choice", ["required", NAMED, ALLOWED], ids=["required", "named", "allowed_tools"])
def test_a_tool_is_called_where_it_must_be(client: openai.OpenAI, model: str, choice: Any) -> None:
    answer = client.chat.completions.create(
        model=model, messages=QUESTION, tools=[WEATHER], tool_choice=choice, max_tokens=256
    )
    check_chat(answer, model)
    calls = answer.choices[0].message.tool_calls
    assert calls
    for call in calls:
        assert call.id
        assert call.type == "function"
        assert call.function.name == "weather"
        assert isinstance(is_json(call.function.arguments)["city"], str)
    assert len({call.id for call in calls}) == len(calls)
    assert answer.choices[0].message.content is None


def test_a_required_call_has_its_finish_reason(client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.create(model=model, messages=QUESTION, tools=[WEATHER], tool_choice="required")
    assert answer.choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize("choice", ["none", "auto"])
def test_a_choice_that_needs_no_call_is_taken(client: openai.OpenAI, model: str, choice: Any) -> None:
    answer = client.chat.completions.create(
        model=model, messages=QUESTION, tools=[WEATHER, CLOCK], tool_choice=choice, max_tokens=64
    )
    check_chat(answer, model)
    if choice == "none":
        assert answer.choices[0].message.tool_calls is None


def test_one_call_at_most_without_parallel_ones(client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.create(
        model=model,
        messages=QUESTION,
        tools=[WEATHER, CLOCK],
        tool_choice="required",
        parallel_tool_calls=False,
        max_tokens=256,
    )
    assert len(answer.choices[0].message.tool_calls or ()) == 1


def test_a_conversation_goes_on_after_a_call(client: openai.OpenAI, model: str) -> None:
    first = client.chat.completions.create(
        model=model, messages=QUESTION, tools=[WEATHER], tool_choice="required", parallel_tool_calls=False
    )
    message = first.choices[0].message
    assert message.tool_calls
    # As the client gives the answer back: with all of its fields, also those that are empty.
    history: Any = [
        *QUESTION,
        message.model_dump(),
        {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "Sunny, 21 degrees."},
    ]
    second = client.chat.completions.create(model=model, messages=history, tools=[WEATHER], max_tokens=64)
    assert check_chat(second, model) or second.choices[0].message.tool_calls


def test_a_tools_answer_may_come_in_parts(client: openai.OpenAI, model: str) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}
    history: Any = [
        *QUESTION,
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "Sunny."}]},
    ]
    assert check_chat(client.chat.completions.create(model=model, messages=history, max_tokens=32), model)


def test_the_client_parses_a_call(client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.parse(
        model=model, messages=QUESTION, tools=[openai.pydantic_function_tool(Weather)], tool_choice="required"
    )
    calls = answer.choices[0].message.tool_calls
    assert calls
    assert isinstance(calls[0].function.parsed_arguments, Weather)


def test_a_streamed_call_comes_in_pieces_of_one_call(client: openai.OpenAI, model: str) -> None:
    stream = client.chat.completions.create(
        model=model, messages=QUESTION, tools=[WEATHER], tool_choice=NAMED, stream=True
    )
    choices = [chunk.choices[0] for chunk in stream if chunk.choices]
    pieces = [piece for choice in choices for piece in choice.delta.tool_calls or ()]
    assert {piece.index for piece in pieces} == {0}
    assert [piece.id for piece in pieces if piece.id] == [pieces[0].id]
    assert [piece.type for piece in pieces if piece.type] == ["function"]
    assert [piece.function.name for piece in pieces if piece.function and piece.function.name] == ["weather"]
    arguments = "".join(piece.function.arguments or "" for piece in pieces if piece.function)
    assert isinstance(is_json(arguments)["city"], str)
    assert choices[-1].finish_reason in ("stop", "tool_calls")


def test_the_clients_stream_gathers_a_call(client: openai.OpenAI, model: str) -> None:
    with client.chat.completions.stream(
        model=model, messages=QUESTION, tools=[openai.pydantic_function_tool(Weather)], tool_choice="required"
    ) as stream:
        kinds = [event.type for event in stream]
        calls = stream.get_final_completion().choices[0].message.tool_calls
    assert "tool_calls.function.arguments.done" in kinds
    assert calls
    assert isinstance(calls[0].function.parsed_arguments, Weather)


@pytest.mark.exact
def test_several_calls_keep_their_order(client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.create(
        model=model, messages=said("/repeat call=clock,weather -- Rome"), tools=[WEATHER, CLOCK]
    )
    calls: Any = answer.choices[0].message.tool_calls
    assert [(call.function.name, is_json(call.function.arguments)) for call in calls] == [
        ("clock", {"zone": "Rome"}),
        ("weather", {"city": "Rome"}),
    ]


@pytest.mark.exact
def test_several_streamed_calls_are_told_apart_by_their_index(client: openai.OpenAI, model: str) -> None:
    with client.chat.completions.stream(
        model=model, messages=said("/repeat call=clock,weather -- Rome"), tools=[WEATHER, CLOCK]
    ) as stream:
        calls: Any = stream.get_final_completion().choices[0].message.tool_calls
    assert [call.function.name for call in calls] == ["clock", "weather"]
    assert len({call.id for call in calls}) == 2
