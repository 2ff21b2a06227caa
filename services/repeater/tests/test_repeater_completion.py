# SPDX-License-Identifier: Apache-2.0
"""Continuations."""

import pytest

from cowabungaai_sdk.errors import BackendUnavailableError, InvalidRequestError
from cowabungaai_sdk.v1.common_pb2 import (
    FINISH_REASON_CONTENT_FILTER,
    FINISH_REASON_LENGTH,
    FINISH_REASON_STOP,
    Sampling,
    TextInput,
    TokenIds,
    Usage,
)
from cowabungaai_sdk.v1.completion_pb2 import CompletionRequest

pytestmark = pytest.mark.anyio


def request(*texts: str, **parameters: object) -> CompletionRequest:
    prompts = [TextInput(text=text) for text in texts]
    return CompletionRequest(**{"model": "repeater", "prompts": prompts, **parameters})


async def texts(client, asked) -> list[str]:
    return [choice.text for choice in (await client.complete(asked)).choices]


async def test_prompts_are_repeated_in_their_order(client):
    response = await client.complete(request("a b", "c", n=2))
    assert [(choice.index, choice.text) for choice in response.choices] == [(0, "a b"), (1, "a b"), (2, "c"), (3, "c")]
    assert response.usage == Usage(prompt_tokens=3, completion_tokens=6)


async def test_ids_are_repeated_as_numbers(client):
    response = await client.complete(request(prompts=[TextInput(tokens=TokenIds(ids=[5, 0, 7]))]))
    assert (response.choices[0].text, response.usage) == ("5 0 7", Usage(prompt_tokens=3, completion_tokens=3))


async def test_echo_puts_the_prompt_in_front(client):
    assert await texts(client, request("a b", echo=True)) == ["a ba b"]


async def test_echo_without_continuation_is_the_prompt(client):
    response = await client.complete(request("a b", echo=True, sampling=Sampling(max_tokens=0)))
    assert (response.choices[0].text, response.choices[0].finish_reason) == ("a b", FINISH_REASON_LENGTH)
    assert response.usage.completion_tokens == 0


async def test_suffix_is_read(client):
    response = await client.complete(request("a b", suffix="c d e"))
    assert (response.choices[0].text, response.usage.prompt_tokens) == ("a b", 5)


async def test_stop_and_max_tokens_hold(client):
    response = await client.complete(request("a b c", "c b a", sampling=Sampling(stop=["c"], max_tokens=2)))
    assert [(choice.text, choice.finish_reason) for choice in response.choices] == [
        ("a b", FINISH_REASON_LENGTH),
        ("", FINISH_REASON_STOP),
    ]


async def test_best_of_is_paid_for(client):
    response = await client.complete(request("a b", n=2, best_of=5))
    assert (len(response.choices), response.usage.completion_tokens) == (2, 10)


async def test_choices_stream_side_by_side(client):
    chunks = [chunk async for chunk in client.complete_stream(request("a b", n=2))]
    pieces = [(choice.index, choice.text) for chunk in chunks for choice in chunk.choices]
    assert pieces == [(0, "a"), (1, "a"), (0, " b"), (1, " b"), (0, ""), (1, "")]
    assert [chunk.HasField("usage") for chunk in chunks] == [False] * 5 + [True]


@pytest.mark.parametrize(("logprobs", "tops"), [(0, 0), (3, 3)])
async def test_logprobs_cover_the_echoed_prompt_whose_first_token_has_none(client, logprobs, tops):
    found = (await client.complete(request("a b", echo=True, logprobs=logprobs))).choices[0].logprobs
    assert [item.token for item in found] == ["a", " b", "a", " b"]
    assert [item.HasField("logprob") for item in found] == [False, True, True, True]
    assert [len(item.top) for item in found] == [0, tops, tops, tops]


async def test_logprobs_without_echo_begin_with_the_answer(client):
    found = (await client.complete(request("a b", logprobs=0))).choices[0].logprobs
    assert [item.HasField("logprob") for item in found] == [True, True]


async def test_each_prompt_has_its_own_controls(client):
    response = await client.complete(request("/repeat tokens=3 -- a", "/repeat finish=content_filter -- b"))
    assert [choice.text for choice in response.choices] == ["a a a", "b"]
    assert response.choices[1].finish_reason == FINISH_REASON_CONTENT_FILTER


async def test_controls_can_fail(client):
    with pytest.raises(BackendUnavailableError):
        await client.complete(request("a", "/repeat error=unavailable after=1 -- b"))


async def test_long_answers_are_whole(client):
    assert await texts(client, request("/repeat tokens=200 -- a")) == [" ".join(["a"] * 200)]


async def test_wrong_control_names_the_prompt(client):
    with pytest.raises(InvalidRequestError) as raised:
        await client.complete(request("a", "/repeat odd=1"))
    assert raised.value.param == "prompts[1]"


async def test_prompt_that_leaves_no_room_is_refused(serve):
    client = await serve(context_length=2)
    with pytest.raises(InvalidRequestError) as raised:
        await client.complete(request("a", "a b"))
    assert (raised.value.param, raised.value.code_name) == ("prompts[1]", "context_length_exceeded")
