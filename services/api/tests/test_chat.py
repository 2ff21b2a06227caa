"""POST /openai/v1/chat/completions without streaming, by the official client."""

import contextlib
import time

import openai
import pytest

from cowabungaai_sdk.v1 import chat_pb2
from sample_backends import Recorder

HELLO = [{"role": "user", "content": "hello  big world"}]


def test_echo(client):
    answer = client.chat.completions.create(model="repeater", messages=HELLO)
    assert (answer.choices[0].message.role, answer.choices[0].message.content) == ("assistant", "hello  big world")


@pytest.mark.anyio
async def test_echo_async(async_client):
    async with async_client:
        answer = await async_client.chat.completions.create(model="repeater", messages=HELLO)
    assert answer.choices[0].message.content == "hello  big world"


def test_answer_has_id_and_time(client):
    answer = client.chat.completions.create(model="repeater", messages=HELLO)
    assert answer.id.startswith("chatcmpl-")
    assert abs(answer.created - time.time()) < 60


def test_usage_is_counted(client):
    usage = client.chat.completions.create(model="repeater", messages=HELLO).usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (3, 3, 6)


def test_model_with_another_name_at_its_backend(client):
    answer = client.chat.completions.create(model="echo/latest", messages=HELLO)
    assert (answer.model, answer.choices[0].message.content) == ("echo/latest", "hello  big world")


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


def test_answer_can_be_sent_back(client):
    message = client.chat.completions.create(model="repeater", messages=HELLO).choices[0].message
    again = client.chat.completions.create(model="repeater", messages=[*HELLO, message.model_dump()])
    assert again.choices[0].message.content == "hello  big world"


def test_parameters_that_ask_for_nothing_are_accepted(client):
    answer = client.chat.completions.create(
        model="repeater",
        messages=HELLO,
        n=1,
        frequency_penalty=0.0,
        presence_penalty=0,
        logprobs=False,
        modalities=["text"],
        response_format={"type": "text"},
        store=False,
        tools=[],
        user=None,
    )
    assert answer.choices[0].message.content == "hello  big world"


@pytest.fixture
def recorded(gateway, serve, connected):
    """Sends a request through a gateway; returns what arrived at the backend."""
    backend = Recorder()
    client = connected(gateway(models={"sample": serve(backend)}))

    def send(**parameters) -> chat_pb2.ChatRequest:
        with contextlib.suppress(openai.BadRequestError):
            client.chat.completions.create(**{"model": "sample", "messages": HELLO, **parameters})
        return backend.request

    return send


def test_every_parameter_reaches_the_backend(recorded):
    request = recorded(temperature=0.5, top_p=0.25, max_tokens=7, seed=-3, stop=["a", "b"])
    assert (request.temperature, request.top_p, request.max_tokens, request.seed, list(request.stop)) == (
        0.5,
        0.25,
        7,
        -3,
        ["a", "b"],
    )


@pytest.mark.parametrize("name", ["temperature", "top_p", "seed"])
def test_zero_arrives_as_zero(recorded, name):
    assert recorded(**{name: 0}).HasField(name)


@pytest.mark.parametrize("name", ["temperature", "top_p", "max_tokens", "seed"])
@pytest.mark.parametrize("parameters", ["unset", "null"])
def test_unset_and_null_arrive_as_unset(recorded, name, parameters):
    assert not recorded(**({name: None} if parameters == "null" else {})).HasField(name)


def test_all_roles_arrive(recorded):
    roles = ["system", "developer", "user", "assistant", "tool"]
    messages = [{"role": role, "content": "x"} for role in roles]
    messages[-1]["tool_call_id"] = "call-1"
    request = recorded(messages=messages)
    assert [chat_pb2.Role.Name(message.role) for message in request.messages] == [
        f"ROLE_{role.upper()}" for role in roles
    ]
