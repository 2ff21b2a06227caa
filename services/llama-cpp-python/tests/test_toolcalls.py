# SPDX-License-Identifier: Apache-2.0
"""Calls in texts, as different families of models write them, and however the text is cut."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cowabungaai_llama_cpp.toolcalls import (
    HERMES,
    JSON,
    LLAMA3,
    MISTRAL,
    CallBegins,
    CallReader,
    format_of,
    new_id,
)

NAMES = ["clock", "weather"]
CLOCK = '{"name": "clock", "arguments": {}}'
WEATHER = '{"name": "weather", "arguments": {"city": "Rome \\"}{\\" x", "days": [1, {"a": 2}]}}'
LLAMA = WEATHER.replace("arguments", "parameters")
ARGUMENTS = json.loads(WEATHER)["arguments"]


def read(form, pieces):
    """The text, and the calls with their arguments."""
    reader = CallReader(form, NAMES)
    found = [part for piece in pieces for part in reader.feed(piece)] + reader.finish()
    text = "".join(part for part in found if isinstance(part, str))
    calls: list[list[str]] = []
    for part in found:
        if isinstance(part, CallBegins):
            assert part.index == len(calls)
            calls.append([part.name, ""])
        elif not isinstance(part, str):
            calls[part.index][1] += part.arguments
    return text, [(name, json.loads(arguments)) for name, arguments in calls]


CASES = [
    (JSON, WEATHER, "", [("weather", ARGUMENTS)]),
    (JSON, f"\n```json\n{WEATHER}\n```", "", [("weather", ARGUMENTS)]),
    (JSON, f"[{CLOCK}, {WEATHER}]", "", [("clock", {}), ("weather", ARGUMENTS)]),
    (LLAMA3, f"<|python_tag|>{LLAMA}", "", [("weather", ARGUMENTS)]),
    (LLAMA3, LLAMA, "", [("weather", ARGUMENTS)]),
    (HERMES, f"<tool_call>\n{WEATHER}\n</tool_call>", "", [("weather", ARGUMENTS)]),
    (
        HERMES,
        f"I look. <tool_call>{CLOCK}</tool_call>\n<tool_call>\n{WEATHER}\n</tool_call>",
        "I look. ",
        [("clock", {}), ("weather", ARGUMENTS)],
    ),
    (MISTRAL, f"[TOOL_CALLS][{CLOCK}, {WEATHER}]", "", [("clock", {}), ("weather", ARGUMENTS)]),
    (JSON, "It is {late}.", "It is {late}.", []),
    (JSON, '{"answer": 42, "more": "than enough to be sure that this is no call at all"}', None, []),
    (JSON, '{"name": "other", "arguments": {}}', None, []),
    (JSON, '{"name": "clock"', None, []),
    (HERMES, "1 < 2, <tool> and <tool_", None, []),
    (HERMES, "<tool_call>no JSON", None, []),
    (JSON, "", "", []),
]


@pytest.mark.parametrize(("form", "text", "left", "calls"), CASES)
def test_calls_are_told_from_text(form, text, left, calls):
    assert read(form, [text]) == (text if left is None else left, calls)


@given(st.sampled_from(CASES), st.lists(st.integers(1, 6), max_size=60))
def test_cuts_change_nothing(case, sizes):
    form, text, left, calls = case
    pieces, rest = [], text
    for size in sizes:
        pieces.append(rest[:size])
        rest = rest[size:]
    assert read(form, [*pieces, rest]) == (text if left is None else left, calls)


def test_arguments_come_as_they_are_written():
    reader = CallReader(JSON, NAMES)
    reader.feed('{"name": "weather", "arguments": {"ci')
    assert [part.arguments for part in reader.feed('ty": "R')] == ['ty": "R']


@pytest.mark.parametrize(
    ("template", "form"),
    [
        ("no functions", JSON),
        ("{{ tools }} <tool_call>", HERMES),
        ("{{ tools }} [TOOL_CALLS]", MISTRAL),
        ('{{ tools }} "parameters"', LLAMA3),
        ("{{ tools }}", JSON),
    ],
)
def test_format_of_a_template(template, form):
    assert format_of(template) is form


def test_ids_differ_and_have_the_length_that_templates_want():
    assert len(new_id(MISTRAL)) == 9
    assert new_id(JSON).startswith("call_")
    assert len({new_id(JSON) for _ in range(10)}) == 10
