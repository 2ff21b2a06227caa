# SPDX-License-Identifier: Apache-2.0
"""Conversations through the whole service, on an engine double."""

import asyncio
import json

import pytest

import double
from conversations import CLOCK, WEATHER, choice, said, text_of
from cowabungaai_sdk.errors import BackendFailedError, BackendUnavailableError, InvalidRequestError
from cowabungaai_sdk.v1.chat_pb2 import (
    ROLE_ASSISTANT,
    ROLE_DEVELOPER,
    ROLE_TOOL,
    ChatMessage,
    ContentPart,
    ImagePart,
    ResponseFormat,
    ToolCall,
    ToolChoice,
)
from cowabungaai_sdk.v1.common_pb2 import (
    FINISH_REASON_LENGTH,
    FINISH_REASON_STOP,
    FINISH_REASON_TOOL_CALLS,
)

pytestmark = pytest.mark.anyio


async def test_an_answer_has_text_reason_usage_and_fingerprint(served):
    response = await served.client.chat(said("one two three"))
    assert text_of(response) == "one two three"
    assert response.choices[0].finish_reason == FINISH_REASON_STOP
    usage = response.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.cached_prompt_tokens) == (4, 3, 1)
    assert response.system_fingerprint.startswith("vllm-")


async def test_a_stream_is_token_by_token_with_usage_last(served):
    chunks = [chunk async for chunk in served.client.chat_stream(said("one two"))]
    assert [chunk.choices[0].text for chunk in chunks] == ["one", " two"]
    assert chunks[-1].usage.completion_tokens == 2
    assert not chunks[0].HasField("usage")


async def test_parameters_reach_the_engine(served):
    await served.client.chat(said("x", temperature=0.5, top_k=3, stop=["e"], seed=7, max_tokens=5, logit_bias={1: 2.0}))
    given = served.engine.calls[0].parameters
    assert (given.temperature, given.top_k, given.stop, given.seed, given.max_tokens) == (0.5, 3, ["e"], 7, 5)
    assert given.logit_bias == {1: 2.0}
    assert (given.top_p, given.presence_penalty, given.min_p) == (1.0, 0.0, 0.0)


async def test_a_limit_ends_the_answer(served):
    response = await served.client.chat(said("one two three", max_tokens=2))
    assert (text_of(response), response.choices[0].finish_reason) == ("one two", FINISH_REASON_LENGTH)


async def test_several_answers_are_told_apart_and_counted(served):
    response = await served.client.chat(said("one two", n=3))
    assert [text_of(response, index) for index in range(3)] == ["one two"] * 3
    assert response.usage.completion_tokens == 6


async def test_log_probabilities_have_as_many_candidates_as_asked_for(served):
    response = await served.client.chat(said("one two", logprobs=True, top_logprobs=1))
    content = response.choices[0].logprobs.content
    assert [(one.token, one.logprob, len(one.top)) for one in content] == [("one", -1.0, 1), (" two", -1.0, 1)]
    assert content[1].token_bytes == b" two"
    none = await served.client.chat(said("one", logprobs=True))
    assert len(none.choices[0].logprobs.content[0].top) == 0
    assert not (await served.client.chat(said("one"))).choices[0].HasField("logprobs")


async def test_a_schema_reaches_the_engine(served):
    form = ResponseFormat(json_schema=ResponseFormat.JsonSchema(name="x", schema='{"type": "object"}'))
    response = await served.client.chat(said("x", response_format=form))
    assert json.loads(text_of(response)) == {}
    assert served.engine.calls[0].parameters.structured_outputs.json == '{"type": "object"}'


async def test_users_do_not_share_a_prefix_cache(served):
    await served.client.chat(said("x", user="ada"))
    await served.client.chat(said("x"))
    assert [call.prompt["cache_salt"] for call in served.engine.calls] == ["ada", None]


async def test_the_template_sees_roles_tools_and_calls(serve):
    served = await serve(tool_call_parser="marks", template_arguments={"style": "short"})
    request = said("and?", tools=[WEATHER, CLOCK], reasoning_effort="none")
    call = ToolCall(id="c1", name="weather", arguments='{"city": "Oslo"}')
    earlier = [
        ChatMessage(role=ROLE_DEVELOPER, content=[ContentPart(text="be brief")]),
        ChatMessage(role=ROLE_ASSISTANT, tool_calls=[call], reasoning="hm", name="bot"),
        ChatMessage(role=ROLE_TOOL, tool_call_id="c1", content=[ContentPart(text="rain")]),
    ]
    request.messages.MergeFrom(earlier)
    request.messages.append(request.messages[0])
    del request.messages[0]
    await served.client.chat(request)
    seen = served.engine.tokenizer.seen
    assert [message["role"] for message in seen.messages] == ["system", "assistant", "tool", "user"]
    assert seen.messages[1]["tool_calls"][0]["function"] == {"name": "weather", "arguments": {"city": "Oslo"}}
    assert (seen.messages[1]["reasoning_content"], seen.messages[1]["name"]) == ("hm", "bot")
    assert seen.messages[2]["tool_call_id"] == "c1"
    assert [tool["function"]["name"] for tool in seen.tools] == ["weather", "clock"]
    assert (seen.kwargs["enable_thinking"], seen.kwargs["style"]) == (False, "short")


async def test_a_required_tool_is_called_as_its_schema_says(served):
    served.engine.answer = '[{"name": "weather", "arguments": {"city": "Oslo"}}, {"name": "clock", "arguments": {}}]'
    request = said("x", tools=[WEATHER, CLOCK], tool_choice=choice(ToolChoice.MODE_REQUIRED))
    response = await served.client.chat(request)
    calls = response.choices[0].message.tool_calls
    assert [(call.name, json.loads(call.arguments)) for call in calls] == [("weather", {"city": "Oslo"}), ("clock", {})]
    assert len({call.id for call in calls}) == 2
    assert response.choices[0].finish_reason == FINISH_REASON_TOOL_CALLS
    schema = served.engine.calls[0].parameters.structured_outputs.json
    assert [one["properties"]["name"]["enum"] for one in schema["items"]["anyOf"]] == [["weather"], ["clock"]]
    assert schema["$defs"] == {"City": {"type": "string"}}
    assert "maxItems" not in schema


async def test_calls_can_be_bounded_to_one_and_to_allowed_tools(served):
    served.engine.answer = '[{"name": "clock", "arguments": {}}]'
    allowed = choice(ToolChoice.MODE_REQUIRED, allowed=["clock"])
    await served.client.chat(said("x", tools=[WEATHER, CLOCK], tool_choice=allowed, parallel_tool_calls=False))
    schema = served.engine.calls[0].parameters.structured_outputs.json
    assert schema["maxItems"] == 1
    assert len(schema["items"]["anyOf"]) == 1


async def test_a_required_call_that_is_cut_is_no_call(served):
    served.engine.answer = '[{"name": "weather", "argum'
    request = said("x", tools=[WEATHER], tool_choice=choice(ToolChoice.MODE_REQUIRED), max_tokens=1)
    response = await served.client.chat(request)
    assert response.choices[0].finish_reason == FINISH_REASON_LENGTH
    assert not response.choices[0].message.tool_calls


async def test_a_functions_arguments_are_streamed(served):
    served.engine.answer = '{"city": "Oslo"}'
    request = said("x", tools=[CLOCK, WEATHER], tool_choice=choice(ToolChoice.MODE_FUNCTION, function="weather"))
    chunks = [chunk.choices[0] async for chunk in served.client.chat_stream(request)]
    calls = [call for one in chunks for call in one.tool_calls]
    assert [call.name for call in calls] == ["weather", ""]
    assert json.loads("".join(call.arguments for call in calls)) == {"city": "Oslo"}
    assert chunks[-1].finish_reason == FINISH_REASON_TOOL_CALLS
    assert served.engine.calls[0].parameters.structured_outputs.json == WEATHER.parameters


async def test_tools_that_the_model_may_call_are_read_by_vllms_parser(serve):
    served = await serve(tool_call_parser="marks")
    call = double.CALL_START + '{"name": "clock", "arguments": {}}' + double.CALL_END
    served.engine.answer = f"Wait. {call} {call}"
    response = await served.client.chat(said("x", tools=[CLOCK]))
    message = response.choices[0].message
    assert [one.name for one in message.tool_calls] == ["clock", "clock"]
    assert response.choices[0].finish_reason == FINISH_REASON_TOOL_CALLS
    assert text_of(response) == "Wait."
    assert served.engine.calls[0].parameters.skip_special_tokens is False
    one = await served.client.chat(said("x", tools=[CLOCK], parallel_tool_calls=False))
    assert len(one.choices[0].message.tool_calls) == 1


async def test_an_answer_that_calls_nothing_is_text(serve):
    served = await serve(tool_call_parser="marks")
    response = await served.client.chat(said("just text", tools=[CLOCK]))
    assert (text_of(response), response.choices[0].finish_reason) == ("just text", FINISH_REASON_STOP)
    none = await served.client.chat(said("x", tools=[CLOCK], tool_choice=choice(ToolChoice.MODE_NONE)))
    assert text_of(none) == "x"


async def test_reasoning_is_told_apart_and_tools_are_read_after_it(serve):
    served = await serve(reasoning_parser="thoughts", tool_call_parser="marks")
    call = double.CALL_START + '{"name": "clock", "arguments": {}}' + double.CALL_END
    served.engine.answer = f"I think {double.THOUGHT_END}Now. {call}"
    response = await served.client.chat(said("x", tools=[CLOCK]))
    message = response.choices[0].message
    assert (message.reasoning, text_of(response)) == ("I think ", "Now.")
    assert [one.name for one in message.tool_calls] == ["clock"]
    plain = await served.client.chat(said("x"))
    assert plain.choices[0].message.reasoning == "I think "


async def test_adapters_are_models_of_their_own(serve, adapter):
    served = await serve(adapters=[{"id": "tuned", "path": adapter}])
    assert [model.id for model in await served.client.models()] == ["small", "tuned"]
    await served.client.chat(said("x", model="tuned"))
    await served.client.chat(said("x"))
    first, second = served.engine.calls
    assert (first.adapter.lora_name, first.adapter.lora_int_id, first.adapter.lora_path) == ("tuned", 1, str(adapter))
    assert second.adapter is None
    assert served.engine.arguments.enable_lora
    assert served.engine.arguments.max_loras == 1


@pytest.mark.parametrize(
    ("request_", "param", "message"),
    [
        (said("w " * 70), "messages", "the prompt has 7"),
        (said("x" * 10_000_000), "messages", "the prompt has 10000000 characters"),
        (said("x", tools=[CLOCK]), "tools", "served without a parser of tool calls"),
        (said("x", max_tokens=0), "max_tokens", "must be at least 1"),
        (said("x", verbosity="low"), "verbosity", "verbosity is 'low', which the model does not know"),
    ],
    ids=["long", "huge", "tools", "limit", "verbosity"],
)
async def test_what_cannot_be_done_is_refused_by_parameter(served, request_, param, message):
    with pytest.raises(InvalidRequestError, match=message) as refused:
        await served.client.chat(request_)
    assert refused.value.param == param
    if "characters" in message or "has 7" in message:
        assert refused.value.code_name == "context_length_exceeded"


async def test_images_are_refused(served):
    request = said("x")
    request.messages[0].content.append(ContentPart(image=ImagePart(data=b"x", media_type="image/png")))
    with pytest.raises(InvalidRequestError, match="a part of type image"):
        await served.client.chat(request)


async def test_what_a_template_refuses_is_told(serve, tmp_path):
    template = tmp_path / "template.jinja"
    template.write_text("refuse")
    served = await serve(chat_template=template)
    with pytest.raises(InvalidRequestError, match="chat template refuses the messages: roles must alternate"):
        await served.client.chat(said("x"))


async def test_a_client_that_leaves_stops_the_engine(served):
    served.engine.delay_s = 0.05
    stream = served.client.chat_stream(said("w " * 40))
    await anext(stream)
    assert served.engine.running == 1
    await stream.aclose()
    async with asyncio.timeout(0.5):
        while served.engine.running:  # noqa: ASYNC110 - a count
            await asyncio.sleep(0.005)


async def test_a_request_that_the_engine_gives_up_is_a_failure(served, monkeypatch):
    monkeypatch.setattr(
        served.engine,
        "_output",
        lambda *_: double.SimpleNamespace(
            index=0, text="", token_ids=[], cumulative_logprob=None, logprobs=None, finish_reason="error"
        ),
    )
    with pytest.raises(BackendFailedError, match="the engine ended the answer with 'error'"):
        await served.client.chat(said("x"))


async def test_an_engine_that_died_makes_the_backend_unavailable_and_ends_it(served, monkeypatch):
    ended = asyncio.Event()
    monkeypatch.setattr("cowabungaai_vllm.backend.os.kill", lambda pid, number: ended.set())
    served.engine.failure = double.DeadError()
    with pytest.raises(BackendUnavailableError, match="the engine has died"):
        await served.client.chat(said("x"))
    served.engine.errored = True
    async with asyncio.timeout(2):
        await ended.wait()
