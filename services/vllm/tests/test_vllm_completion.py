# SPDX-License-Identifier: Apache-2.0
"""Prompts continued through the whole service, on an engine double."""

import pytest

from cowabungaai_sdk.errors import InvalidRequestError
from cowabungaai_sdk.v1.chat_pb2 import ROLE_USER, ChatMessage, ContentPart
from cowabungaai_sdk.v1.common_pb2 import FINISH_REASON_STOP, Sampling, TextInput, TokenIds
from cowabungaai_sdk.v1.completion_pb2 import CompletionRequest
from cowabungaai_sdk.v1.tokens_pb2 import Conversation, CountTokensRequest

pytestmark = pytest.mark.anyio


def prompts(*texts, **parameters):
    """A request."""
    return CompletionRequest(model="small", prompts=[TextInput(text=text) for text in texts], **parameters)


async def test_prompts_are_continued_in_order(served):
    response = await served.client.complete(prompts("one two", "three", n=2))
    assert [choice.text for choice in response.choices] == ["one two", "one two", "three", "three"]
    assert [choice.index for choice in response.choices] == [0, 1, 2, 3]
    assert all(choice.finish_reason == FINISH_REASON_STOP for choice in response.choices)
    usage = response.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.cached_prompt_tokens) == (5, 6, 2)


async def test_a_stream_has_its_usage_last(served):
    chunks = [chunk async for chunk in served.client.complete_stream(prompts("one two", "three"))]
    assert ["".join(choice.text for choice in chunk.choices) for chunk in chunks] == ["one", " two", "three"]
    assert [chunk.HasField("usage") for chunk in chunks] == [False, False, True]


async def test_tokens_are_a_prompt(served):
    served.engine.tokenizer.encode("one two")
    request = CompletionRequest(model="small", prompts=[TextInput(tokens=TokenIds(ids=[1, 2]))])
    assert (await served.client.complete(request)).choices[0].text == "one two"


async def test_echo_begins_with_the_prompt_and_its_log_probabilities(served):
    response = await served.client.complete(prompts("one", echo=True, logprobs=1))
    choice = response.choices[0]
    assert choice.text == "oneone"
    assert [one.token for one in choice.logprobs] == ["", "one", "one"]
    assert not choice.logprobs[0].HasField("logprob")
    assert served.engine.calls[0].parameters.prompt_logprobs == 1
    plain = await served.client.complete(prompts("one", echo=True))
    assert (plain.choices[0].text, len(plain.choices[0].logprobs)) == ("oneone", 0)


async def test_the_best_of_several_are_given(served):
    response = await served.client.complete(prompts("one two", n=2, best_of=3))
    assert [choice.text for choice in response.choices] == ["one two"] * 2
    given = served.engine.calls[0].parameters
    assert (given.n, given.logprobs) == (3, 0)
    assert response.usage.completion_tokens == 6
    # The double's answers become likelier with their number.
    with_logprobs = await served.client.complete(prompts("one", n=1, best_of=3, logprobs=0))
    assert with_logprobs.choices[0].logprobs[0].logprob == -3.0


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        (prompts("x", suffix="y"), "suffix"),
        (prompts("w " * 70), "prompt"),
        (
            CompletionRequest(model="small", prompts=[TextInput(text="x")], sampling=Sampling(max_tokens=0)),
            "max_tokens",
        ),
    ],
    ids=["suffix", "long", "limit"],
)
async def test_what_cannot_be_done_is_refused_by_parameter(served, request_, param):
    with pytest.raises(InvalidRequestError) as refused:
        await served.client.complete(request_)
    assert refused.value.param == param


async def test_tokens_are_counted(served):
    counted = await served.client.count_tokens(CountTokensRequest(model="small", text="one two"))
    assert counted.count == 2
    message = ChatMessage(role=ROLE_USER, content=[ContentPart(text="one two")])
    conversation = CountTokensRequest(model="small", conversation=Conversation(messages=[message]))
    assert (await served.client.count_tokens(conversation)).count == 3
