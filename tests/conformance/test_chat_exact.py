# SPDX-License-Identifier: Apache-2.0
"""chat/completions: what the repeater answers, to the letter."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from conformance.ask import check_chat, check_usage, joined, said

pytestmark = [pytest.mark.endpoint("chat/completions"), pytest.mark.needs("chat"), pytest.mark.exact]
ODD = 'ä 漢字 \U0001f600 "quoted" \\ back\ttab\nline \u2028 </script> data: [DONE]'


@pytest.mark.parametrize("text", ["to be or not to be", " leading and trailing ", ODD, "word " * 5000], ids=len)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_text_comes_back_to_the_letter(client: openai.OpenAI, model: str, text: str, stream: bool) -> None:
    if stream:
        chunks = list(client.chat.completions.create(model=model, messages=said(text), stream=True))
        assert joined(chunks) == text
        assert chunks[-1].choices[0].finish_reason == "stop"
    else:
        answer = client.chat.completions.create(model=model, messages=said(text))
        assert check_chat(answer, model) == text
        assert answer.choices[0].finish_reason == "stop"


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, ("a b c d", "stop", 4)),
        ({"max_tokens": 2}, ("a b", "length", 2)),
        ({"max_completion_tokens": 4}, ("a b c d", "stop", 4)),
        ({"stop": " c"}, ("a b", "stop", 2)),
        ({"stop": [" d", " b"]}, ("a", "stop", 1)),
        ({"n": 3}, ("a b c d", "stop", 12)),
        ({"extra_body": {"min_tokens": 6}}, ("a b c d a b", "stop", 6)),
        ({"extra_body": {"min_tokens": 6}, "stop": "d"}, ("a b c d a b", "stop", 6)),
    ],
    ids=str,
)
def test_parameters_have_their_effect(
    client: openai.OpenAI, model: str, parameters: dict[str, Any], expected: tuple[str, str, int]
) -> None:
    text, reason, tokens = expected
    answer = client.chat.completions.create(model=model, messages=said("a b c d"), **parameters)
    assert [choice.message.content for choice in answer.choices] == [text] * parameters.get("n", 1)
    assert {choice.finish_reason for choice in answer.choices} == {reason}
    usage = check_usage(answer.usage)
    assert (usage.prompt_tokens, usage.completion_tokens) == (4, tokens)


def test_usage_counts_all_messages(client: openai.OpenAI, model: str) -> None:
    messages: Any = [
        {"role": "developer", "content": "one two"},
        {"role": "user", "content": "three"},
        {"role": "assistant", "content": "four five"},
        {"role": "user", "content": "six"},
    ]
    answer = client.chat.completions.create(model=model, messages=messages)
    assert answer.choices[0].message.content == "six"
    assert check_usage(answer.usage).prompt_tokens == 6


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_reasoning_is_apart_from_the_answer_and_counted(client: openai.OpenAI, model: str, stream: bool) -> None:
    asked: Any = {"model": model, "messages": said('/repeat reasoning="I think" -- yes'), "reasoning_effort": "low"}
    if stream:
        chunks = list(client.chat.completions.create(stream=True, stream_options={"include_usage": True}, **asked))
        deltas = [choice.delta.model_dump() for chunk in chunks for choice in chunk.choices]
        reasoning = "".join(delta.get("reasoning_content") or "" for delta in deltas)
        text, usage = joined(chunks), chunks[-1].usage
    else:
        answer = client.chat.completions.create(**asked)
        reasoning = answer.choices[0].message.model_dump()["reasoning_content"]
        text, usage = check_chat(answer, model), answer.usage
    assert (reasoning, text) == ("I think", "yes")
    details = check_usage(usage).completion_tokens_details
    assert details is not None
    assert details.reasoning_tokens == 2


@pytest.mark.parametrize("reason", ["stop", "length", "content_filter"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_every_finish_reason_arrives(client: openai.OpenAI, model: str, reason: str, stream: bool) -> None:
    messages = said(f"/repeat finish={reason} -- a b")
    if stream:
        chunks = list(client.chat.completions.create(model=model, messages=messages, stream=True))
        assert chunks[-1].choices[0].finish_reason == reason
    else:
        answer = client.chat.completions.create(model=model, messages=messages)
        assert answer.choices[0].finish_reason == reason


def test_the_fingerprint_is_the_backends(client: openai.OpenAI, model: str) -> None:
    whole = client.chat.completions.create(model=model, messages=said("x"))
    chunks = list(client.chat.completions.create(model=model, messages=said("x"), stream=True))
    assert {whole.system_fingerprint, *(chunk.system_fingerprint for chunk in chunks)} == {whole.system_fingerprint}
    assert whole.system_fingerprint


def test_pieces_arrive_while_the_answer_goes_on(client: openai.OpenAI, model: str) -> None:
    stream = client.chat.completions.create(
        model=model, messages=said("/repeat delay=300s -- one two three"), stream=True
    )
    with stream:
        first = next(chunk for chunk in stream if joined([chunk]))
    assert joined([first]) == "one"
