# SPDX-License-Identifier: Apache-2.0
"""Conversations with a real model."""

import asyncio
import json
import math

import jsonschema
import pytest

from cowabungaai_llama_cpp.slots import REREAD
from cowabungaai_sdk.errors import InvalidRequestError
from cowabungaai_sdk.v1.chat_pb2 import (
    ROLE_SYSTEM,
    ROLE_USER,
    AudioPart,
    ChatMessage,
    ContentPart,
    ImagePart,
    ResponseFormat,
    ToolChoice,
)
from cowabungaai_sdk.v1.common_pb2 import FINISH_REASON_LENGTH, FINISH_REASON_STOP, FINISH_REASON_TOOL_CALLS
from support import CLOCK, WEATHER, answer, conversation, said, schema

CLOSE = 1.0
"""How far apart the logarithms of two probabilities may be that count as about equal."""

pytestmark = [pytest.mark.anyio, pytest.mark.model]


async def test_it_answers(client):
    text, _ = await answer(client, said("What is the capital of France?", max_tokens=32))
    assert "Paris" in text


async def test_stream_joined_is_the_answer(client):
    request = said("Count from one to five.", max_tokens=24)
    chunks = [chunk async for chunk in client.chat_stream(request)]
    texts = [choice.text for chunk in chunks for choice in chunk.choices]
    assert len([text for text in texts if text]) > 5
    assert "".join(texts) == (await answer(client, request))[0]


PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 12},
        "age": {"type": "integer", "minimum": 0, "maximum": 130},
        "pet": {"enum": ["cat", "dog", None]},
        "tags": {"type": "array", "items": {"type": "string", "maxLength": 8}, "maxItems": 2},
    },
    "required": ["name", "age", "pet", "tags"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("temperature", [0, 1.5])
async def test_schema_is_kept(client, temperature):
    request = said(
        "Describe a person.", response_format=schema(PERSON), temperature=temperature, seed=5, max_tokens=300
    )
    text, reason = await answer(client, request)
    jsonschema.validate(json.loads(text), PERSON)
    assert reason == FINISH_REASON_STOP


async def test_json_object_is_one(client):
    request = said("A JSON object with one short key.", response_format=ResponseFormat(json_object={}), max_tokens=200)
    text, reason = await answer(client, request)
    assert text.startswith("{")
    if reason == FINISH_REASON_STOP:
        assert isinstance(json.loads(text), dict)


async def test_schema_without_grammar_is_refused(client):
    with pytest.raises(InvalidRequestError, match="keywords that cannot be kept here: multipleOf") as raised:
        await client.chat(said("x", response_format=schema({"type": "integer", "multipleOf": 3})))
    assert raised.value.param == "response_format.json_schema.schema"


async def test_grammar_that_llama_cpp_cannot_read_is_refused(client):
    with pytest.raises(InvalidRequestError, match="left recursion") as raised:
        await client.chat(said("x", response_format=schema({"$ref": "#"})))
    assert raised.value.param == "response_format"


@pytest.mark.parametrize(
    "choice",
    [
        ToolChoice(mode=ToolChoice.MODE_REQUIRED, allowed=["get_weather"]),
        ToolChoice(mode=ToolChoice.MODE_FUNCTION, function="get_weather"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_tool_is_called(client, choice, stream):
    request = said(
        "Weather in Rome?", tools=[CLOCK, WEATHER], tool_choice=choice, parallel_tool_calls=False, max_tokens=100
    )
    if stream:
        pieces = [
            c async for chunk in client.chat_stream(request) for choice in chunk.choices for c in choice.tool_calls
        ]
        assert [(piece.HasField("id"), piece.name) for piece in pieces if piece.HasField("id")] == [
            (True, "get_weather")
        ]
        arguments = "".join(piece.arguments for piece in pieces)
    else:
        found = (await client.chat(request)).choices[0]
        assert (found.finish_reason, len(found.message.content)) == (FINISH_REASON_TOOL_CALLS, 0)
        arguments = found.message.tool_calls[0].arguments
    jsonschema.validate(json.loads(arguments), json.loads(WEATHER.parameters))


async def test_no_tool_is_called_where_none_may_be(client):
    choice = ToolChoice(mode=ToolChoice.MODE_NONE)
    found = (await client.chat(said("Weather in Rome?", tools=[WEATHER], tool_choice=choice, max_tokens=20))).choices[0]
    assert not found.message.tool_calls


async def test_strict_tools_leave_the_choice(client):
    strict = type(WEATHER)(**{"name": WEATHER.name, "parameters": WEATHER.parameters, "strict": True})
    found = (await client.chat(said("Say hello.", tools=[strict], max_tokens=60))).choices[0]
    for call in found.message.tool_calls:
        jsonschema.validate(json.loads(call.arguments), json.loads(WEATHER.parameters))


async def test_stop_ends_before_the_sequence(client):
    whole, _ = await answer(client, said("What is the capital of France?", max_tokens=16))
    for stop in (whole[4:9], whole[7], whole[2:14]):
        text, reason = await answer(client, said("What is the capital of France?", max_tokens=16, stop=[stop]))
        assert (text, reason) == (whole[: whole.index(stop)], FINISH_REASON_STOP)


async def test_max_tokens_and_min_tokens(client):
    response = await client.chat(said("Say hi.", max_tokens=3))
    assert (response.choices[0].finish_reason, response.usage.completion_tokens) == (FINISH_REASON_LENGTH, 3)
    response = await client.chat(said("Say hi.", min_tokens=40, max_tokens=50))
    assert response.usage.completion_tokens >= 40


async def test_same_seed_same_answer(client):
    request = said("Tell me a story.", temperature=1, seed=42, max_tokens=24)
    first = await answer(client, request)
    assert await answer(client, request) == first
    request.sampling.seed = 43
    assert await answer(client, request) != first


async def test_unset_parameters_sample(client):
    request = said("Tell me a story.", max_tokens=24)
    request.sampling.ClearField("temperature")
    assert len({(await answer(client, request))[0] for _ in range(3)}) > 1


async def test_choices_differ_and_share_the_prompt(client):
    request = said("Tell me something.", n=5, temperature=1, seed=1, max_tokens=8)
    response = await client.chat(request)
    texts = [choice.message.content[0].text for choice in response.choices]
    assert [choice.index for choice in response.choices] == list(range(5))
    assert len(set(texts)) == 5
    assert response.usage.completion_tokens <= 40
    again = await client.chat(request)
    assert [choice.message.content[0].text for choice in again.choices] == texts


async def test_log_probabilities(client):
    response = await client.chat(said("What is the capital of France?", logprobs=True, top_logprobs=5, max_tokens=8))
    choice = response.choices[0]
    assert len(choice.logprobs.content) == response.usage.completion_tokens
    assert "".join(item.token for item in choice.logprobs.content) == choice.message.content[0].text
    for item in choice.logprobs.content:
        values = [top.logprob for top in item.top]
        assert len(values) == 5
        assert values == sorted(values, reverse=True)
        assert 0 < sum(map(math.exp, values)) <= 1.0001
        assert item.logprob == pytest.approx(values[0])
        assert item.token == item.top[0].token


async def test_usage_and_the_prefix_cache(client):
    turns = [(ROLE_SYSTEM, "You are brief. " * 20), (ROLE_USER, "What is the capital of Spain?")]
    first = await client.chat(conversation(*turns, max_tokens=4))
    second = await client.chat(conversation(*turns, max_tokens=4))
    assert first.usage.prompt_tokens == second.usage.prompt_tokens > 90
    assert second.usage.cached_prompt_tokens == first.usage.prompt_tokens - REREAD
    other = await client.chat(conversation(turns[0], (ROLE_USER, "And of Italy?"), max_tokens=4))
    assert 60 < other.usage.cached_prompt_tokens < other.usage.prompt_tokens


async def test_users_do_not_share_the_cache(client):
    request = said("A question of the user one, which is rather long for a question.", user="one", max_tokens=2)
    await client.chat(request)
    request.user = "two"
    assert (await client.chat(request)).usage.cached_prompt_tokens == 0


@pytest.mark.parametrize(
    "part",
    [
        ContentPart(image=ImagePart(data=b"x", media_type="image/png")),
        ContentPart(audio=AudioPart(data=b"x", format="wav")),
    ],
)
async def test_files_are_refused_by_place(client, part):
    request = said("look")
    request.messages[0].content.append(part)
    with pytest.raises(InvalidRequestError, match="reads text only") as raised:
        await client.chat(request)
    assert raised.value.param == "messages[0].content[1]"


@pytest.mark.parametrize(
    ("parameters", "param"),
    [
        ({"logit_bias": {300_000: 1}}, "logit_bias"),
        ({"reasoning_effort": "high"}, "reasoning_effort"),
        ({"verbosity": "low"}, "verbosity"),
        ({"stop": ["x" * 2000]}, "stop"),
    ],
)
async def test_what_the_model_cannot_do_is_refused(client, parameters, param):
    with pytest.raises(InvalidRequestError) as raised:
        await client.chat(said("x", **parameters))
    assert raised.value.param == param


@pytest.mark.parametrize("parameters", [{"max_tokens": 1020}, {}])
async def test_what_does_not_fit_is_refused(client, parameters):
    text = "word " * (2000 if not parameters else 20)
    with pytest.raises(InvalidRequestError, match="exceed the context of 1024") as raised:
        await client.chat(said(text, **parameters))
    assert (raised.value.param, raised.value.code_name) == ("messages", "context_length_exceeded")


async def test_all_parameters_at_once(client):
    request = said(
        "Go on.",
        temperature=0.7,
        top_p=0.9,
        top_k=50,
        min_p=0.01,
        frequency_penalty=0.5,
        presence_penalty=-0.5,
        repetition_penalty=1.1,
        logit_bias={5: -100, 262_143: 3},
        seed=-7,
        stop=["qqq"],
        max_tokens=12,
        min_tokens=4,
        logprobs=True,
        top_logprobs=20,
        n=2,
    )
    response = await client.chat(request)
    assert response.usage.completion_tokens >= 8


async def test_four_at_once(client):
    # llama.cpp adds up in another order for one token than for several, so that answers may part, but only where two
    # tokens are about equally likely.
    questions = ["What is the capital of France?", "Name a colour.", "What is water?", "Who wrote Hamlet?"]
    requests = [said(question, max_tokens=12, logprobs=True, top_logprobs=5) for question in questions]
    alone = [(await client.chat(request)).choices[0].logprobs.content for request in requests]
    together = [found.choices[0].logprobs.content for found in await asyncio.gather(*map(client.chat, requests))]
    for one, other in zip(alone, together, strict=True):
        parted = next((pair for pair in zip(one, other, strict=False) if pair[0].token != pair[1].token), None)
        if parted is not None:
            likely = {top.token: top.logprob for top in parted[0].top}
            assert likely[parted[1].token] > parted[0].logprob - CLOSE


async def test_answers_do_not_depend_on_the_cache(client):
    """Read at once, read behind a shared beginning, and read again: the logits are the same to the last bit."""
    beginning, end = "Some words that come first. " * 12, "What is the capital of Italy?"
    request = said(beginning + end, max_tokens=6, logprobs=True, top_logprobs=3, user="fresh")
    first = (await client.chat(request)).choices[0]
    await client.chat(said(beginning + "Something else?", max_tokens=4, user="other"))
    request.user = "other"
    assert (await client.chat(request)).choices[0] == first
    assert (await client.chat(request)).choices[0] == first


async def test_conversation_goes_on(client):
    turns = [(ROLE_USER, "My name is Ann."), (2 + 2, "Hello Ann."), (ROLE_USER, "What is my name?")]
    text, _ = await answer(client, conversation(*turns, max_tokens=16))
    assert text


async def test_messages_of_tools_are_read(client):
    call = {"id": "c1", "name": "get_time", "arguments": "{}"}
    request = said("What time is it?", tools=[CLOCK], max_tokens=8)
    request.messages.append(ChatMessage(role=4, tool_calls=[call]))
    request.messages.append(ChatMessage(role=5, tool_call_id="c1", content=[ContentPart(text="12:30")]))
    assert (await client.chat(request)).usage.prompt_tokens > 50
