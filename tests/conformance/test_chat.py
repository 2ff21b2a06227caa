# SPDX-License-Identifier: Apache-2.0
"""chat/completions: roles, content parts and parameters, where no tool is called and nothing is streamed."""

from __future__ import annotations

import base64
import math
from typing import Any

import openai
import pytest

from conformance.ask import MESSAGES, check_chat, check_usage, may_refuse, said
from conformance.target import Model

pytestmark = [pytest.mark.endpoint("chat/completions"), pytest.mark.needs("chat")]

PIXEL = base64.b64encode(
    base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=")
).decode()
# Parameters whose effect nobody can see from outside, and that must be accepted all the same.
ACCEPTED: list[dict[str, Any]] = [
    {"temperature": 0.0},
    {"temperature": 2},
    {"top_p": 0.5},
    {"frequency_penalty": -2.0},
    {"presence_penalty": 2.0},
    {"logit_bias": {"5": -100}},
    {"seed": 7},
    {"seed": -(2**63)},
    {"user": "somebody"},
    {"safety_identifier": "somebody"},
    {"prompt_cache_key": "a key"},
    {"parallel_tool_calls": True},
    {"tool_choice": "none"},
    {"tools": []},
    {"response_format": {"type": "text"}},
    {"stop": None, "n": None, "max_tokens": None, "logprobs": None, "max_completion_tokens": 8},
    {"modalities": ["text"]},
    {"service_tier": "auto"},
    {"store": False},
    {"metadata": {}},
    {"extra_body": {"top_k": 5, "min_p": 0.1, "repetition_penalty": 1.1, "min_tokens": 0}},
]


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "system", "content": "Be short."}, *MESSAGES],
        [{"role": "developer", "content": "Be short."}, *MESSAGES],
        [{"role": "system", "content": [{"type": "text", "text": "Be short."}]}, *MESSAGES],
        [{"role": "user", "name": "Ann", "content": "one two"}],
        [{"role": "user", "content": [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]}],
        [*MESSAGES, {"role": "assistant", "content": "seven"}, {"role": "user", "content": "And then?"}],
        [*MESSAGES, {"role": "assistant", "content": [{"type": "text", "text": "seven"}]}, *MESSAGES],
        [*MESSAGES, {"role": "assistant", "content": None, "refusal": "No."}, *MESSAGES],
    ],
    ids=["system", "developer", "system parts", "name", "user parts", "assistant", "assistant parts", "refusal"],
)
def test_roles_and_parts_are_taken(client: openai.OpenAI, model: str, messages: Any) -> None:
    answer = client.chat.completions.create(model=model, messages=messages, max_completion_tokens=16)
    assert check_chat(answer, model)


@pytest.mark.parametrize("parameters", ACCEPTED, ids=str)
def test_a_parameter_is_taken(client: openai.OpenAI, model: str, parameters: dict[str, Any]) -> None:
    answer = client.chat.completions.create(model=model, messages=MESSAGES, **{"max_tokens": 8, **parameters})
    assert check_chat(answer, model)


def test_verbosity_is_taken_or_refused_by_name(client: openai.OpenAI, chosen: Model) -> None:
    with may_refuse(chosen, "verbosity"):
        answer = client.chat.completions.create(model=chosen.id, messages=MESSAGES, max_tokens=8, verbosity="low")
        assert check_chat(answer, chosen.id)


def test_a_long_conversation_counts_more_tokens(client: openai.OpenAI, model: str) -> None:
    short = client.chat.completions.create(model=model, messages=said("one"), max_tokens=4)
    longer = client.chat.completions.create(model=model, messages=said("one " * 50), max_tokens=4)
    assert check_usage(longer.usage).prompt_tokens > check_usage(short.usage).prompt_tokens + 30


def test_n_gives_so_many_choices(client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.create(model=model, messages=MESSAGES, n=3, max_tokens=4)
    assert len(answer.choices) == 3
    assert check_chat(answer, model)


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_limit_of_tokens_cuts(client: openai.OpenAI, model: str, name: str) -> None:
    answer = client.chat.completions.create(model=model, messages=MESSAGES, **{name: 3})  # type: ignore[call-overload]
    assert answer.choices[0].finish_reason == "length"
    assert check_usage(answer.usage).completion_tokens == 3


def test_stop_ends_before_the_sequence(client: openai.OpenAI, model: str) -> None:
    whole = client.chat.completions.create(model=model, messages=MESSAGES, max_tokens=32, temperature=0, seed=1)
    word = check_chat(whole, model).split()[2]
    for stop in (word, [word, "never said"]):
        cut = client.chat.completions.create(
            model=model, messages=MESSAGES, max_tokens=32, temperature=0, seed=1, stop=stop
        )
        assert word not in check_chat(cut, model)
        assert cut.choices[0].finish_reason == "stop"


def test_the_same_seed_gives_the_same_answer(client: openai.OpenAI, model: str) -> None:
    texts = {
        check_chat(
            client.chat.completions.create(model=model, messages=MESSAGES, seed=3, temperature=1, max_tokens=12), model
        )
        for _ in range(3)
    }
    assert len(texts) == 1


@pytest.mark.parametrize("top", [None, 0, 3])
def test_logprobs_belong_to_the_text(client: openai.OpenAI, model: str, top: int | None) -> None:
    options: Any = {} if top is None else {"top_logprobs": top}
    answer = client.chat.completions.create(model=model, messages=MESSAGES, logprobs=True, max_tokens=6, **options)
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content
    data = b"".join(bytes(entry.bytes or ()) for entry in logprobs.content)
    assert data.decode() == answer.choices[0].message.content
    assert len(logprobs.content) == check_usage(answer.usage).completion_tokens
    for entry in logprobs.content:
        assert entry.logprob <= 0
        assert len(entry.top_logprobs) == (top or 0)
        assert sum(math.exp(other.logprob) for other in entry.top_logprobs) <= 1.001


def test_no_logprobs_come_unasked(client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.create(model=model, messages=MESSAGES, max_tokens=4)
    assert answer.choices[0].logprobs is None


def test_an_alias_answers_under_its_own_name(client: openai.OpenAI, chosen: Model) -> None:
    if not chosen.aliases:
        pytest.skip(f"{chosen.id} has no alias")
    answer = client.chat.completions.create(model=chosen.aliases[0], messages=MESSAGES, max_tokens=4)
    assert check_chat(answer, chosen.aliases[0])


@pytest.mark.exact
@pytest.mark.parametrize(
    ("part", "text"),
    [
        (
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}", "detail": "low"}},
            f"[image image/png {len(base64.b64decode(PIXEL))} bytes]",
        ),
        ({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}, "[audio wav 3 bytes]"),
        (
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "filename": "a.pdf"}},
            "[file application/pdf a.pdf 3 bytes]",
        ),
    ],
    ids=["image", "audio", "file"],
)
def test_a_part_that_is_no_text_arrives_whole(client: openai.OpenAI, model: str, part: Any, text: str) -> None:
    messages: Any = [{"role": "user", "content": [{"type": "text", "text": "See "}, part]}]
    answer = client.chat.completions.create(model=model, messages=messages)
    assert check_chat(answer, model) == f"See {text}"
