# SPDX-License-Identifier: Apache-2.0
"""What every backend refuses alike, with the name of the parameter at fault."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cowabungaai_sdk.checks import (
    check_chat,
    check_completion,
    check_embedding,
    check_token_count,
    check_transcription,
)
from cowabungaai_sdk.errors import InvalidRequestError
from cowabungaai_sdk.v1.audio_pb2 import AUDIO_TASK_TRANSCRIBE, TranscribeOptions
from cowabungaai_sdk.v1.chat_pb2 import (
    ROLE_ASSISTANT,
    ROLE_TOOL,
    ROLE_USER,
    ChatMessage,
    ChatRequest,
    ContentPart,
    ResponseFormat,
    Tool,
    ToolCall,
    ToolChoice,
)
from cowabungaai_sdk.v1.common_pb2 import Sampling, TextInput, TokenIds
from cowabungaai_sdk.v1.completion_pb2 import CompletionRequest
from cowabungaai_sdk.v1.embedding_pb2 import EmbeddingRequest
from cowabungaai_sdk.v1.tokens_pb2 import Conversation, CountTokensRequest

USER = ChatMessage(role=ROLE_USER, content=[ContentPart(text="hi")])
TOOL = Tool(name="look", parameters='{"type": "object"}')


def chat(*messages: ChatMessage, **parameters: object) -> ChatRequest:
    return ChatRequest(messages=messages or [USER], **parameters)


def refused(check, *arguments: object) -> str | None:
    with pytest.raises(InvalidRequestError) as raised:
        check(*arguments)
    return raised.value.param


@pytest.mark.parametrize(
    "request_",
    [
        chat(),
        chat(USER, ChatMessage(role=ROLE_ASSISTANT)),
        chat(n=128, logprobs=True, top_logprobs=20),
        chat(tools=[TOOL], tool_choice=ToolChoice(mode=ToolChoice.MODE_FUNCTION, function="look")),
        chat(tools=[TOOL], tool_choice=ToolChoice(mode=ToolChoice.MODE_REQUIRED, allowed=["look"])),
        chat(tool_choice=ToolChoice(mode=ToolChoice.MODE_NONE)),
        chat(response_format=ResponseFormat(json_schema={"name": "x", "schema": "{}"})),
        chat(response_format=ResponseFormat(json_object={})),
        chat(reasoning_effort="xhigh", verbosity="low"),
        chat(sampling=Sampling(temperature=2, top_p=0, max_tokens=0, logit_bias={5: -100}, stop=["x"])),
        chat(sampling=Sampling(min_tokens=3, max_tokens=3, repetition_penalty=1.1)),
    ],
)
def test_right_conversations_pass(request_):
    check_chat(request_)


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        (ChatRequest(), "messages"),
        (chat(ChatMessage(content=[ContentPart(text="hi")])), "messages[0].role"),
        (chat(ChatMessage(role=99, content=[ContentPart(text="hi")])), "messages[0].role"),
        (chat(USER, ChatMessage(role=ROLE_USER)), "messages[1].content"),
        (chat(ChatMessage(role=ROLE_USER, content=[ContentPart()])), "messages[0].content[0]"),
        (chat(ChatMessage(role=ROLE_TOOL, content=[ContentPart(text="x")])), "messages[0].tool_call_id"),
        (chat(ChatMessage(role=ROLE_ASSISTANT, tool_calls=[ToolCall(name="x")])), "messages[0].tool_calls[0]"),
        (chat(n=0), "n"),
        (chat(n=129), "n"),
        (chat(top_logprobs=1), "top_logprobs"),
        (chat(logprobs=True, top_logprobs=21), "top_logprobs"),
        (chat(reasoning_effort="much"), "reasoning_effort"),
        (chat(verbosity=""), "verbosity"),
        (chat(tools=[Tool()]), "tools[0].name"),
        (chat(tools=[TOOL, TOOL]), "tools[1].name"),
        (chat(tools=[Tool(name="x", parameters="{")]), "tools[0].parameters"),
        (chat(tools=[Tool(name="x", parameters="[]")]), "tools[0].parameters"),
        (chat(tools=[TOOL], tool_choice=ToolChoice()), "tool_choice.mode"),
        (chat(tools=[TOOL], tool_choice=ToolChoice(mode=ToolChoice.MODE_FUNCTION)), "tool_choice.function"),
        (chat(tools=[TOOL], tool_choice=ToolChoice(mode=ToolChoice.MODE_AUTO, allowed=["x"])), "tool_choice.allowed"),
        (chat(tool_choice=ToolChoice(mode=ToolChoice.MODE_REQUIRED)), "tool_choice"),
        (chat(response_format=ResponseFormat()), "response_format"),
        (
            chat(response_format=ResponseFormat(json_schema={"schema": "no"})),
            "response_format.json_schema.schema",
        ),
        (chat(sampling=Sampling(temperature=2.1)), "temperature"),
        (chat(sampling=Sampling(temperature=float("nan"))), "temperature"),
        (chat(sampling=Sampling(top_p=-0.1)), "top_p"),
        (chat(sampling=Sampling(min_p=1.1)), "min_p"),
        (chat(sampling=Sampling(frequency_penalty=-3)), "frequency_penalty"),
        (chat(sampling=Sampling(presence_penalty=3)), "presence_penalty"),
        (chat(sampling=Sampling(repetition_penalty=0)), "repetition_penalty"),
        (chat(sampling=Sampling(logit_bias={1: 101})), "logit_bias"),
        (chat(sampling=Sampling(stop=["a", ""])), "stop"),
        (chat(sampling=Sampling(min_tokens=2, max_tokens=1)), "min_tokens"),
    ],
)
def test_wrong_conversations_are_refused(request_, param):
    assert refused(check_chat, request_) == param


@given(st.floats(width=32))
def test_temperature_is_refused_exactly_outside_its_range(temperature):
    request = chat(sampling=Sampling(temperature=temperature))
    if 0 <= temperature <= 2:
        check_chat(request)
    else:
        assert refused(check_chat, request) == "temperature"


PROMPTS = [TextInput(text=""), TextInput(tokens=TokenIds(ids=[1]))]


@pytest.mark.parametrize(
    ("parameters", "stream", "param"),
    [
        ({"prompts": []}, False, "prompts"),
        ({"prompts": [TextInput()]}, False, "prompts[0]"),
        ({"prompts": [TextInput(tokens=TokenIds())]}, False, "prompts[0]"),
        ({"n": 0}, False, "n"),
        ({"logprobs": 6}, False, "logprobs"),
        ({"n": 3, "best_of": 2}, False, "best_of"),
        ({"best_of": 2}, True, "best_of"),
        ({"sampling": Sampling(top_p=2)}, False, "top_p"),
    ],
)
def test_wrong_completions_are_refused(parameters, stream, param):
    request = CompletionRequest(**{"prompts": PROMPTS, **parameters})
    assert refused(check_completion, request, stream) == param


@pytest.mark.parametrize(
    ("parameters", "stream"), [({}, True), ({"n": 2, "best_of": 2}, True), ({"best_of": 3}, False)]
)
def test_right_completions_pass(parameters, stream):
    check_completion(CompletionRequest(prompts=PROMPTS, **parameters), stream)


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        (EmbeddingRequest(), "inputs"),
        (EmbeddingRequest(inputs=[TextInput(text="a"), TextInput(text="")]), "inputs[1]"),
        (EmbeddingRequest(inputs=[TextInput(tokens=TokenIds())]), "inputs[0]"),
        (EmbeddingRequest(inputs=[TextInput(text="a")], dimensions=0), "dimensions"),
    ],
)
def test_wrong_embeddings_are_refused(request_, param):
    assert refused(check_embedding, request_) == param


@pytest.mark.parametrize(
    ("parameters", "param"),
    [
        ({"task": 0}, "task"),
        ({"task": 7}, "task"),
        ({"language": "english"}, "language"),
        ({"temperature": 2}, "temperature"),
    ],
)
def test_wrong_transcriptions_are_refused(parameters, param):
    assert refused(check_transcription, TranscribeOptions(**{"task": AUDIO_TASK_TRANSCRIBE, **parameters})) == param


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        (CountTokensRequest(), "input"),
        (CountTokensRequest(conversation=Conversation(messages=[ChatMessage()])), "conversation.messages[0].role"),
        (CountTokensRequest(conversation=Conversation(messages=[USER], tools=[Tool()])), "tools[0].name"),
    ],
)
def test_wrong_token_counts_are_refused(request_, param):
    assert refused(check_token_count, request_) == param


def test_empty_text_has_tokens_to_count():
    check_token_count(CountTokensRequest(text=""))
