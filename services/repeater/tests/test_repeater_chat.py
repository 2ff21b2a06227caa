# SPDX-License-Identifier: Apache-2.0
"""Conversations: the echo, its end, its log probabilities and its usage."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversations import answer, conversation, said
from cowabungaai_repeater.tokens import lengthened, tokens
from cowabungaai_sdk.errors import InvalidRequestError
from cowabungaai_sdk.v1.chat_pb2 import (
    ROLE_ASSISTANT,
    ROLE_SYSTEM,
    ROLE_USER,
    AudioPart,
    ChatMessage,
    ContentPart,
    FilePart,
    ImagePart,
)
from cowabungaai_sdk.v1.common_pb2 import FINISH_REASON_LENGTH, FINISH_REASON_STOP, Usage

pytestmark = pytest.mark.anyio


@given(st.text())
def test_tokens_joined_are_the_text(text):
    assert "".join(tokens(text)) == text


@given(st.text(), st.integers(0, 50))
def test_lengthened_text_has_as_many_tokens_as_asked_for(text, count):
    assert len(tokens("".join(lengthened(tokens(text.rstrip()), count)))) == count


async def test_last_user_message_is_repeated(client):
    request = conversation((ROLE_USER, "first"), (ROLE_USER, "last"), (ROLE_ASSISTANT, "no"))
    assert await answer(client, request) == ("last", FINISH_REASON_STOP)


async def test_stream_is_token_by_token(client):
    texts = [chunk.choices[0].text async for chunk in client.chat_stream(said("a  b\nc "))]
    assert texts == ["a", "  b", "\nc", " ", ""]


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(0, ("", FINISH_REASON_LENGTH)), (2, ("a b", FINISH_REASON_LENGTH)), (3, ("a b c", FINISH_REASON_STOP))],
)
async def test_max_tokens_cuts(client, limit, expected):
    assert await answer(client, said("a b c", max_tokens=limit)) == expected


@pytest.mark.parametrize(
    ("stop", "expected"),
    [(["b"], "a "), (["x"], "a b c"), (["c", "b c"], "a "), (["a"], ""), (["a b c d"], "a b c"), (["b c"], "a ")],
)
async def test_stop_ends_before_the_sequence(client, stop, expected):
    assert await answer(client, said("a b c", stop=stop)) == (expected, FINISH_REASON_STOP)


async def test_stop_after_max_tokens_is_not_reached(client):
    assert await answer(client, said("a b c", stop=["c"], max_tokens=2)) == ("a b", FINISH_REASON_LENGTH)


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"min_tokens": 5}, "a b a b a"),
        ({"min_tokens": 2}, "a b"),
        ({"min_tokens": 3, "stop": ["a"]}, "a b a b "),
        ({"min_tokens": 4, "max_tokens": 4}, "a b a b"),
    ],
)
async def test_min_tokens_lengthens_and_keeps_stop_back(client, parameters, expected):
    text = "a b a b a b" if "stop" in parameters else "a b"
    assert (await answer(client, said(text, **parameters)))[0] == expected


async def test_usage_counts_all_messages_and_the_answer(client):
    request = conversation((ROLE_SYSTEM, "be brief"), (ROLE_USER, "a b c"), max_tokens=2)
    assert (await client.chat(request)).usage == Usage(prompt_tokens=5, completion_tokens=2)


async def test_conversation_without_user_is_refused(client):
    with pytest.raises(InvalidRequestError, match="nothing to repeat") as raised:
        await client.chat(conversation((ROLE_SYSTEM, "x")))
    assert raised.value.param == "messages"


async def test_sampling_changes_nothing(client):
    request = said("a b", temperature=1.5, top_p=0.1, seed=7, top_k=3, frequency_penalty=1, logit_bias={4: 2})
    assert await answer(client, request) == ("a b", FINISH_REASON_STOP)


async def test_files_are_described(client):
    parts = [
        ContentPart(text="see "),
        ContentPart(image=ImagePart(data=b"x" * 123, media_type="image/png")),
        ContentPart(audio=AudioPart(data=b"x" * 9, format="wav")),
        ContentPart(file=FilePart(data=b"x", media_type="application/pdf", filename="a.pdf")),
        ContentPart(file=FilePart(data=b"xy")),
        ContentPart(refusal=" no"),
    ]
    request = said("")
    request.messages[0].CopyFrom(ChatMessage(role=ROLE_USER, content=parts))
    files = "[image image/png 123 bytes][audio wav 9 bytes][file application/pdf a.pdf 1 bytes]"
    expected = f"see {files}[file of unknown type 2 bytes] no"
    assert (await answer(client, request))[0] == expected


async def test_choices_are_alike_and_stream_side_by_side(client):
    request = said("a b", n=3)
    chunks = [chunk.choices[0] async for chunk in client.chat_stream(request)]
    assert [(choice.index, choice.text) for choice in chunks[:6]] == [
        (0, "a"),
        (1, "a"),
        (2, "a"),
        (0, " b"),
        (1, " b"),
        (2, " b"),
    ]
    response = await client.chat(request)
    assert [choice.message.content[0].text for choice in response.choices] == ["a b"] * 3
    assert response.usage == Usage(prompt_tokens=2, completion_tokens=6)


async def test_logprobs_are_sorted_have_the_token_among_them_and_stay_the_same(client):
    request = said("a b a", logprobs=True, top_logprobs=5)
    content = (await client.chat(request)).choices[0].logprobs.content
    assert [item.token for item in content] == ["a", " b", " a"]
    for item in content:
        values = [top.logprob for top in item.top]
        assert values == sorted(values, reverse=True)
        assert sum(map(math.exp, values)) <= 1
        assert (item.token, item.logprob) in [(top.token, top.logprob) for top in item.top]
        assert item.token_bytes == item.token.encode()
        assert len({top.token for top in item.top}) == 5
    assert content[0].logprob != content[2].logprob
    again = [chunk async for chunk in client.chat_stream(request)]
    assert [item for chunk in again for item in chunk.choices[0].logprobs.content] == list(content)


async def test_logprobs_without_alternatives(client):
    content = (await client.chat(said("a", logprobs=True))).choices[0].logprobs.content
    assert (len(content[0].top), content[0].logprob < 0) == (0, True)


async def test_reasoning_comes_first_and_is_counted(client):
    response = await client.chat(said("a b", reasoning_effort="low"))
    reasoning = response.choices[0].message.reasoning
    assert reasoning == "The user wants an echo; the effort is low."
    assert response.usage == Usage(prompt_tokens=2, completion_tokens=11, reasoning_tokens=9)


async def test_no_reasoning_without_effort(client):
    response = await client.chat(said("a b", reasoning_effort="none"))
    assert not response.choices[0].message.HasField("reasoning")
    assert not response.usage.HasField("reasoning_tokens")


async def test_reasoning_uses_up_max_tokens(client):
    response = await client.chat(said("a b", reasoning_effort="low", max_tokens=4))
    choice = response.choices[0]
    assert (choice.message.reasoning, choice.finish_reason) == ("The user wants an", FINISH_REASON_LENGTH)
    assert response.usage.reasoning_tokens == 4


@pytest.mark.parametrize(
    ("text", "parameters", "answered"),
    [("a b c", {}, "a b c"), ("a b c", {"max_tokens": 1}, "a"), ("a b c d", {}, "a b c d")],
)
async def test_answer_within_the_context(serve, text, parameters, answered):
    client = await serve(context_length=8)
    assert (await answer(client, said(text, **parameters)))[0] == answered


async def test_context_cuts_the_answer(serve):
    client = await serve(context_length=5)
    assert await answer(client, said("a b c")) == ("a b", FINISH_REASON_LENGTH)


@pytest.mark.parametrize(("text", "parameters"), [("a b c d e", {}), ("a b", {"max_tokens": 4})])
async def test_prompt_that_leaves_no_room_is_refused(serve, text, parameters):
    client = await serve(context_length=5)
    with pytest.raises(InvalidRequestError, match="exceed the context of 5") as raised:
        await client.chat(said(text, **parameters))
    assert raised.value.code_name == "context_length_exceeded"


async def test_replicas_and_models_are_told_apart_by_name(serve):
    client = await serve(models=("a", "b"), name="replica-7")
    assert [model.id for model in await client.models()] == ["a", "b"]
    assert (await client.chat(said("x", model="b"))).system_fingerprint == "replica-7"
