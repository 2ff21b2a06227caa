# SPDX-License-Identifier: Apache-2.0
"""POST completions, by the official client."""

import openai
import pytest

from cowabungaai_api.schemas.responses import Completion


def test_prompt_is_continued(client):
    answer = client.completions.create(model="repeater", prompt="one two")
    assert (answer.object, answer.choices[0].text, answer.choices[0].finish_reason) == (
        "text_completion",
        "one two",
        "stop",
    )
    assert answer.usage.total_tokens == 4


@pytest.mark.anyio
async def test_prompt_is_continued_async(async_client):
    async with async_client:
        answer = await async_client.completions.create(model="repeater", prompt="one two")
    assert answer.choices[0].text == "one two"


def test_sixteen_tokens_unless_told_otherwise(client):
    answer = client.completions.create(model="repeater", prompt=" ".join("w" * 20))
    assert (answer.usage.completion_tokens, answer.choices[0].finish_reason) == (16, "length")


def test_many_prompts_and_choices_are_numbered(client):
    answer = client.completions.create(model="repeater", prompt=["a", "b"], n=2)
    assert [(choice.index, choice.text) for choice in answer.choices] == [(0, "a"), (1, "a"), (2, "b"), (3, "b")]


@pytest.mark.parametrize(("prompt", "count"), [([1, 2, 3], 1), ([[1, 2], [3]], 2)])
def test_tokens_are_prompts_too(client, prompt, count):
    assert len(client.completions.create(model="repeater", prompt=prompt).choices) == count


def test_echo_and_log_probabilities(client):
    choice = client.completions.create(model="repeater", prompt="one two", echo=True, logprobs=2).choices[0]
    assert choice.text.startswith("one two")
    assert choice.logprobs.text_offset[:2] == [0, 3]
    assert len(choice.logprobs.tokens) == len(choice.logprobs.token_logprobs) == len(choice.logprobs.top_logprobs)


def test_stream(client):
    options = {"include_usage": True}
    chunks = list(client.completions.create(model="repeater", prompt="one two", stream=True, stream_options=options))
    assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == "one two"
    assert (chunks[-1].choices, chunks[-1].usage.total_tokens) == ([], 4)
    assert len({(chunk.id, chunk.created) for chunk in chunks}) == 1
    assert [c.finish_reason for chunk in chunks for c in chunk.choices if c.finish_reason] == ["stop"]


def test_every_event_keeps_to_its_schema(http):
    body = {"model": "repeater", "prompt": ["a b", "c"], "stream": True, "logprobs": 1}
    events = http.post("/cowabungaai/v1/completions", json=body).text.split("\n\n")
    payloads = [event.removeprefix("data: ") for event in events if event]
    assert payloads.pop() == "[DONE]"
    assert {c.index for payload in payloads for c in Completion.model_validate_json(payload).choices} == {0, 1}


@pytest.mark.parametrize(
    ("parameters", "param"),
    [
        ({"prompt": []}, "prompt"),
        ({"prompt": [[]]}, "prompt[0]"),
        ({"prompt": [1, "a"]}, "prompt[0]"),
        ({"best_of": 1, "n": 2}, "best_of"),
        ({"best_of": 2, "n": 1, "stream": True}, "best_of"),
        ({"logprobs": 6}, "logprobs"),
        ({"echo": True, "suffix": "x"}, "echo"),
        ({"prompt": ["a"] * 2048, "n": 3}, "n"),
        ({"messages": []}, "messages"),
    ],
)
def test_wrong_parameter_is_refused_by_name(client, parameters, param):
    with pytest.raises(openai.BadRequestError) as raised:
        client.completions.create(**{"model": "repeater", "prompt": "a", "extra_body": parameters})
    assert raised.value.param == param
