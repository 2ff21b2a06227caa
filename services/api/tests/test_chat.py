# SPDX-License-Identifier: Apache-2.0
"""POST chat/completions without streaming, by the official client."""

import base64
import contextlib
import time
from collections.abc import Callable
from typing import Any

import openai
import pytest

from cowabungaai_api.schemas.responses import ChatCompletion
from cowabungaai_sdk.v1 import chat_pb2
from sample_backends import Recorder

HELLO = [{"role": "user", "content": "hello  big world"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tells the weather.",
        "parameters": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
        "strict": True,
    },
}
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def test_echo(client):
    answer = client.chat.completions.create(model="repeater", messages=HELLO)
    assert (answer.choices[0].message.role, answer.choices[0].message.content) == ("assistant", "hello  big world")


@pytest.mark.anyio
async def test_echo_async(async_client):
    async with async_client:
        answer = await async_client.chat.completions.create(model="repeater", messages=HELLO)
    assert answer.choices[0].message.content == "hello  big world"


@pytest.mark.parametrize("prefix", ["/openai/v1", "/cowabungaai/v1"])
def test_both_prefixes_answer_alike(http, prefix):
    answer = http.post(f"{prefix}/chat/completions", json={"model": "repeater", "messages": HELLO})
    assert ChatCompletion.model_validate(answer.json()).choices[0].message.content == "hello  big world"


def test_answer_has_id_and_time(client):
    answer = client.chat.completions.create(model="repeater", messages=HELLO)
    assert answer.id.startswith("chatcmpl-")
    assert abs(answer.created - time.time()) < 60


def test_usage_is_counted(client):
    usage = client.chat.completions.create(model="repeater", messages=HELLO).usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (3, 3, 6)


@pytest.mark.parametrize("name", ["echo/latest", "gpt-test"])
def test_model_is_called_as_the_client_calls_it(client, name):
    answer = client.chat.completions.create(model=name, messages=HELLO)
    assert (answer.model, answer.choices[0].message.content) == (name, "hello  big world")


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_token_limit_cuts(client, name):
    answer = client.chat.completions.create(model="repeater", messages=HELLO, **{name: 2})
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("hello  big", "length")


@pytest.mark.parametrize("stop", [" world", ["nothing", " world"]])
def test_stop_sequence_ends(client, stop):
    answer = client.chat.completions.create(model="repeater", messages=HELLO, stop=stop)
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("hello  big", "stop")


def test_text_parts_are_joined(client):
    parts = [{"type": "text", "text": "hello"}, {"type": "text", "text": " world"}]
    answer = client.chat.completions.create(model="repeater", messages=[{"role": "user", "content": parts}])
    assert answer.choices[0].message.content == "hello world"


def test_several_answers(client):
    answer = client.chat.completions.create(model="repeater", messages=HELLO, n=3)
    assert [(choice.index, choice.message.content) for choice in answer.choices] == [
        (index, "hello  big world") for index in range(3)
    ]


def test_log_probabilities(client):
    answer = client.chat.completions.create(model="repeater", messages=HELLO, logprobs=True, top_logprobs=2)
    content = answer.choices[0].logprobs.content
    assert [entry.token for entry in content] == ["hello", "  big", " world"]
    assert bytes(content[1].bytes) == b"  big"
    for entry in content:
        assert len(entry.top_logprobs) == 2
        assert entry.logprob <= 0


def test_tool_call(client):
    answer = client.chat.completions.create(
        model="repeater",
        messages=HELLO,
        tools=[WEATHER],
        tool_choice={"type": "function", "function": {"name": "weather"}},
    )
    choice = answer.choices[0]
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    call = choice.message.tool_calls[0]
    assert (call.type, call.function.name, '"hello  big world"' in call.function.arguments) == (
        "function",
        "weather",
        True,
    )


def test_conversation_with_a_tool_goes_on(client):
    first = client.chat.completions.create(model="repeater", messages=HELLO, tools=[WEATHER], tool_choice="required")
    message = first.choices[0].message
    told = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "sunny"}
    again = client.chat.completions.create(
        model="repeater", messages=[*HELLO, message.model_dump(), told, {"role": "user", "content": "thanks"}]
    )
    assert again.choices[0].message.content == "thanks"


def test_json_object(client):
    answer = client.chat.completions.create(model="repeater", messages=HELLO, response_format={"type": "json_object"})
    assert answer.choices[0].message.content.startswith("{")


def test_parsed_answer(client):
    schema = {"name": "number", "schema": SCHEMA, "strict": True}
    answer = client.chat.completions.create(
        model="repeater", messages=HELLO, response_format={"type": "json_schema", "json_schema": schema}
    )
    assert '"n"' in answer.choices[0].message.content


def test_answer_can_be_sent_back(client):
    message = client.chat.completions.create(model="repeater", messages=HELLO).choices[0].message
    again = client.chat.completions.create(model="repeater", messages=[*HELLO, message.model_dump()])
    assert again.choices[0].message.content == "hello  big world"


def test_parameters_that_ask_for_nothing_are_accepted(client):
    answer = client.chat.completions.create(
        model="repeater",
        messages=HELLO,
        logprobs=False,
        metadata={},
        modalities=["text"],
        response_format={"type": "text"},
        service_tier="auto",
        store=False,
        tools=[],
        user=None,
    )
    assert answer.choices[0].message.content == "hello  big world"


def test_reasoning_is_apart(client):
    answer = client.chat.completions.create(model="repeater", messages=HELLO, reasoning_effort="low")
    assert answer.choices[0].message.reasoning_content
    assert answer.choices[0].message.content == "hello  big world"


@pytest.fixture
def recorded(start, serve) -> Callable[..., chat_pb2.ChatRequest]:
    """Sends a request through a gateway; returns what arrived at the backend."""
    backend = Recorder()
    client = start(models={"sample": serve(backend)}).client()

    def send(**parameters: Any) -> chat_pb2.ChatRequest:
        with contextlib.suppress(openai.BadRequestError):
            client.chat.completions.create(**{"model": "sample", "messages": HELLO, **parameters})
        return backend.request

    yield send
    client.close()


def test_every_sampling_parameter_reaches_the_backend(recorded):
    extensions = {"top_k": 7, "min_p": 0.5, "repetition_penalty": 1.5, "min_tokens": 2}
    sampling = recorded(
        temperature=0.5,
        top_p=0.25,
        frequency_penalty=-1,
        presence_penalty=1.5,
        logit_bias={"5": -100, "6": 2},
        max_tokens=7,
        seed=-3,
        stop=["a", "b"],
        extra_body=extensions,
    ).sampling
    found = {name.name: value for name, value in sampling.ListFields() if name.name not in ("logit_bias", "stop")}
    assert found == {
        "temperature": 0.5,
        "top_p": 0.25,
        "frequency_penalty": -1,
        "presence_penalty": 1.5,
        "max_tokens": 7,
        "seed": -3,
        **extensions,
    }
    assert (dict(sampling.logit_bias), list(sampling.stop)) == ({5: -100, 6: 2}, ["a", "b"])


def test_every_other_parameter_reaches_the_backend(recorded):
    request = recorded(
        n=2,
        tools=[WEATHER],
        tool_choice={
            "type": "allowed_tools",
            "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "weather"}}]},
        },
        parallel_tool_calls=False,
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": False}},
        logprobs=True,
        top_logprobs=4,
        reasoning_effort="high",
        verbosity="low",
        safety_identifier="someone",
    )
    assert (request.n, request.parallel_tool_calls, request.logprobs, request.top_logprobs) == (2, False, True, 4)
    assert (request.reasoning_effort, request.verbosity, request.user) == ("high", "low", "someone")
    assert (request.tools[0].name, request.tools[0].strict) == ("weather", True)
    assert request.tool_choice.mode == chat_pb2.ToolChoice.MODE_REQUIRED
    assert list(request.tool_choice.allowed) == ["weather"]
    assert (
        request.response_format.json_schema.schema
        == '{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}'
    )
    assert request.response_format.json_schema.HasField("strict")


@pytest.mark.parametrize("name", ["temperature", "top_p", "seed", "presence_penalty"])
def test_zero_arrives_as_zero(recorded, name):
    assert recorded(**{name: 0}).sampling.HasField(name)


@pytest.mark.parametrize("name", ["temperature", "top_p", "max_tokens", "seed", "frequency_penalty"])
@pytest.mark.parametrize("parameters", ["unset", "null"])
def test_unset_and_null_arrive_as_unset(recorded, name, parameters):
    assert not recorded(**({name: None} if parameters == "null" else {})).sampling.HasField(name)


def test_all_roles_arrive(recorded):
    roles = ["system", "developer", "user", "assistant", "tool"]
    messages: list[dict[str, Any]] = [{"role": role, "content": "x"} for role in roles]
    messages[-1]["tool_call_id"] = "call-1"
    request = recorded(messages=messages)
    assert [chat_pb2.Role.Name(message.role) for message in request.messages] == [
        f"ROLE_{role.upper()}" for role in roles
    ]


def test_all_parts_arrive(recorded):
    data = base64.b64encode(b"bytes").decode()
    parts = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}", "detail": "low"}},
        {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}},
        {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{data}", "filename": "a.pdf"}},
    ]
    content = recorded(messages=[{"role": "user", "content": parts, "name": "ann"}]).messages[0].content
    assert [part.WhichOneof("part") for part in content] == ["text", "image", "audio", "file"]
    assert (content[1].image.data, content[1].image.media_type) == (b"bytes", "image/png")
    assert content[1].image.detail == chat_pb2.IMAGE_DETAIL_LOW
    assert (content[2].audio.data, content[2].audio.format) == (b"bytes", "wav")
    assert (content[3].file.data, content[3].file.filename) == (b"bytes", "a.pdf")
