# SPDX-License-Identifier: Apache-2.0
"""Vectors and token counts."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cowabungaai_repeater.embedding import unit_vector
from cowabungaai_sdk.errors import BackendUnavailableError, InvalidRequestError
from cowabungaai_sdk.v1.chat_pb2 import ROLE_USER, ChatMessage, ContentPart, Tool, ToolCall
from cowabungaai_sdk.v1.common_pb2 import TextInput, TokenIds
from cowabungaai_sdk.v1.embedding_pb2 import EmbeddingRequest
from cowabungaai_sdk.v1.tokens_pb2 import Conversation, CountTokensRequest
from cowabungaai_sdk.vectors import unpack

pytestmark = pytest.mark.anyio


def text(*texts: str) -> list[TextInput]:
    return [TextInput(text=found) for found in texts]


def ids(*found: int) -> TextInput:
    return TextInput(tokens=TokenIds(ids=found))


async def embed(client, inputs, **parameters):
    return await client.embed(EmbeddingRequest(model="repeater", inputs=inputs, **parameters))


@given(st.binary(), st.integers(1, 300))
def test_vectors_have_length_one(data, dimensions):
    vector = unit_vector(data, dimensions)
    assert len(vector) == dimensions
    assert math.isclose(math.hypot(*vector), 1)


async def test_same_input_same_vector_and_other_input_another(client):
    vectors = (await embed(client, [*text("a", "a", "b"), ids(1, 2), ids(1, 2), ids(12)])).vectors
    assert vectors[0] == vectors[1]
    assert vectors[3] == vectors[4]
    assert len(set(vectors)) == 4


@pytest.mark.parametrize(
    ("settings", "parameters", "length"), [({}, {}, 384), ({"dimensions": 7}, {}, 7), ({}, {"dimensions": 4096}, 4096)]
)
async def test_dimensions(serve, settings, parameters, length):
    client = await serve(**settings)
    assert len(unpack((await embed(client, text("a"), **parameters)).vectors[0])) == length


async def test_too_many_dimensions_are_refused(client):
    with pytest.raises(InvalidRequestError, match="dimensions is 4097; expected 1 to 4096") as raised:
        await embed(client, text("a"), dimensions=4097)
    assert raised.value.param == "dimensions"


async def test_usage_counts_all_inputs(client):
    usage = (await embed(client, [*text("a b"), ids(1, 2, 3)])).usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (5, 0)


async def test_truncated_input_is_its_beginning(serve):
    client = await serve(context_length=2)
    response = await embed(client, [*text("a b", "a b c"), ids(1, 2), ids(1, 2, 3)], truncate=True)
    assert (response.vectors[0], response.vectors[2]) == (response.vectors[1], response.vectors[3])
    assert response.usage.prompt_tokens == 8


async def test_long_input_is_refused_unless_it_may_be_cut(serve):
    client = await serve(context_length=2)
    with pytest.raises(InvalidRequestError, match="has 3 tokens; the context has 2") as raised:
        await embed(client, text("a", "a b c"))
    assert (raised.value.param, raised.value.code_name) == ("inputs[1]", "context_length_exceeded")


@pytest.mark.parametrize("control", ["error=unavailable", "error=unavailable after=5"])
async def test_first_input_can_fail_the_call(client, control):
    with pytest.raises(BackendUnavailableError):
        await embed(client, text(f"/repeat {control} -- a"))


async def test_tokens_of_a_text_are_counted(client):
    assert (await client.count_tokens(CountTokensRequest(model="repeater", text="a b  c"))).count == 3


async def test_tokens_of_a_conversation_are_counted_with_calls_and_tools(client):
    message = ChatMessage(role=ROLE_USER, content=[ContentPart(text="a b")])
    message.tool_calls.append(ToolCall(id="1", name="look", arguments='{"a": 1}'))
    found = Conversation(messages=[message], tools=[Tool(name="look", description="looks around")])
    assert (await client.count_tokens(CountTokensRequest(model="repeater", conversation=found))).count == 8
