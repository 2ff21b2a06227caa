# SPDX-License-Identifier: Apache-2.0
"""completions: prompts, parameters, log probabilities, streams."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import openai
import pytest
from openai.types import Completion

from conformance.ask import SENTENCE, check_usage, events, may_refuse
from conformance.target import OPENAI, OWN, Model

pytestmark = [pytest.mark.endpoint("completions"), pytest.mark.needs("completion")]
LIMITED: Any = {"max_tokens": 8, "temperature": 0, "seed": 1}


def check(answer: Completion, model: str, choices: int = 1) -> list[str]:
    """Checks what every answer has, and returns the texts."""
    assert answer.id
    assert answer.object == "text_completion"
    assert answer.created > 1_500_000_000
    assert answer.model == model
    assert [choice.index for choice in answer.choices] == list(range(choices))
    check_usage(answer.usage)
    return [choice.text for choice in answer.choices]


@pytest.mark.parametrize(
    ("prompt", "count"),
    [(SENTENCE, 1), ([SENTENCE], 1), ([SENTENCE, "one two"], 2), ([11, 12, 13], 1), ([[11, 12], [13]], 2)],
    ids=["text", "a list of one", "texts", "tokens", "lists of tokens"],
)
@pytest.mark.parametrize("n", [1, 2])
def test_all_kinds_of_prompts_are_taken(client: openai.OpenAI, model: str, prompt: Any, count: int, n: int) -> None:
    assert all(check(client.completions.create(model=model, prompt=prompt, n=n, **LIMITED), model, count * n))


@pytest.mark.parametrize(
    "parameters",
    [
        {"top_p": 0.5},
        {"frequency_penalty": 1.0},
        {"presence_penalty": -1.0},
        {"logit_bias": {"5": 1}},
        {"user": "somebody"},
        {"best_of": 2},
        {"extra_body": {"top_k": 5}},
        {"stop": None, "logprobs": None},
    ],
    ids=str,
)
def test_a_parameter_is_taken(client: openai.OpenAI, model: str, parameters: dict[str, Any]) -> None:
    assert check(client.completions.create(model=model, prompt=SENTENCE, **LIMITED, **parameters), model)


def test_a_suffix_is_taken_or_refused_by_name(client: openai.OpenAI, chosen: Model) -> None:
    with may_refuse(chosen, "suffix"):
        answer = client.completions.create(model=chosen.id, prompt=SENTENCE, suffix=" the end", **LIMITED)
        assert check(answer, chosen.id)


def test_a_limit_of_tokens_cuts(client: openai.OpenAI, model: str) -> None:
    answer = client.completions.create(model=model, prompt=SENTENCE, max_tokens=3)
    assert answer.choices[0].finish_reason == "length"
    assert check_usage(answer.usage).completion_tokens == 3


def test_without_a_limit_it_is_sixteen_tokens(client: openai.OpenAI, model: str) -> None:
    answer = client.completions.create(model=model, prompt="word " * 40)
    assert check_usage(answer.usage).completion_tokens <= 16


def test_stop_ends_before_the_sequence(client: openai.OpenAI, model: str) -> None:
    word = check(client.completions.create(model=model, prompt=SENTENCE, **LIMITED), model)[0].split()[2]
    cut = client.completions.create(model=model, prompt=SENTENCE, stop=[word], **LIMITED)
    assert word not in check(cut, model)[0]
    assert cut.choices[0].finish_reason == "stop"


def test_echo_puts_the_prompt_in_front(client: openai.OpenAI, model: str) -> None:
    plain = check(client.completions.create(model=model, prompt=SENTENCE, **LIMITED), model)[0]
    echoed = check(client.completions.create(model=model, prompt=SENTENCE, echo=True, **LIMITED), model)[0]
    assert echoed == SENTENCE + plain


@pytest.mark.parametrize("echo", [False, True])
def test_logprobs_are_columns_of_the_text(client: openai.OpenAI, chosen: Model, echo: bool) -> None:
    answer = client.completions.create(model=chosen.id, prompt=SENTENCE, logprobs=2, echo=echo, **LIMITED)
    choice = answer.choices[0]
    found = choice.logprobs
    assert found is not None
    assert found.tokens
    assert "".join(found.tokens) == choice.text
    assert len(found.token_logprobs or ()) == len(found.top_logprobs or ()) == len(found.tokens)
    starts = [sum(map(len, found.tokens[:place])) for place in range(len(found.tokens))]
    assert found.text_offset == starts
    first, *others = found.token_logprobs or []
    assert all(value <= 0 for value in others)
    # What begins a prompt has no probability, but for real models that put a token before it.
    assert (first is None) is echo or not chosen.exact
    assert first <= 0 if first is not None else echo


def test_the_pieces_are_the_whole_answer(client: openai.OpenAI, model: str) -> None:
    whole = check(client.completions.create(model=model, prompt=[SENTENCE, "one two"], **LIMITED), model, 2)
    chunks = list(client.completions.create(model=model, prompt=[SENTENCE, "one two"], stream=True, **LIMITED))
    pieces = [choice for chunk in chunks for choice in chunk.choices]
    assert ["".join(piece.text for piece in pieces if piece.index == index) for index in range(2)] == whole
    assert len({(chunk.id, chunk.created) for chunk in chunks}) == 1
    for index in range(2):
        *before, last = [piece.finish_reason for piece in pieces if piece.index == index]
        assert set(before) <= {None}
        assert last in ("stop", "length")


def test_a_stream_tells_its_usage_where_it_is_asked_for(client: openai.OpenAI, model: str) -> None:
    whole = client.completions.create(model=model, prompt=SENTENCE, **LIMITED)
    *chunks, last = client.completions.create(
        model=model, prompt=SENTENCE, stream=True, stream_options={"include_usage": True}, **LIMITED
    )
    assert last.choices == []
    assert check_usage(last.usage) == check_usage(whole.usage)
    assert all(chunk.usage is None for chunk in chunks)


@pytest.mark.parametrize("prefix", [OPENAI, OWN])
def test_the_wire_ends_with_done(http: httpx2.Client, model: str, prefix: str) -> None:
    found = events(http, f"{prefix}/completions", {"model": model, "prompt": SENTENCE, **LIMITED})
    assert found[-1] == "[DONE]"
    assert all(json.loads(data)["object"] == "text_completion" for data in found[:-1])


@pytest.mark.exact
@pytest.mark.parametrize(
    ("asked", "texts", "expected"),
    [
        ({"prompt": "a b c"}, ["a b c"], ("stop", 3, 3)),
        ({"prompt": "a b c", "max_tokens": 2}, ["a b"], ("length", 3, 2)),
        ({"prompt": "a b c", "stop": " b"}, ["a"], ("stop", 3, 1)),
        ({"prompt": "a b c", "echo": True}, ["a b ca b c"], ("stop", 3, 3)),
        ({"prompt": ["a", "b c"], "n": 2}, ["a", "a", "b c", "b c"], ("stop", 3, 6)),
        ({"prompt": "a", "suffix": " x y"}, ["a"], ("stop", 3, 1)),
        ({"prompt": "a", "n": 2, "best_of": 3}, ["a", "a"], ("stop", 1, 3)),
        ({"prompt": [7, 8]}, ["7 8"], ("stop", 2, 2)),
        ({"prompt": [[7], [8, 9]]}, ["7", "8 9"], ("stop", 3, 3)),
    ],
    ids=str,
)
def test_the_repeater_continues_to_the_letter(
    client: openai.OpenAI, model: str, asked: Any, texts: list[str], expected: tuple[str, int, int]
) -> None:
    answer = client.completions.create(model=model, **asked)
    assert check(answer, model, len(texts)) == texts
    usage = check_usage(answer.usage)
    assert {choice.finish_reason for choice in answer.choices} == {expected[0]}
    assert (usage.prompt_tokens, usage.completion_tokens) == expected[1:]
