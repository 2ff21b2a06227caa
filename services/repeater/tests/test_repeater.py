"""What the repeater answers."""

import pytest

from cowabungaai_repeater.backend import tokens
from cowabungaai_sdk.errors import InvalidRequestError
from cowabungaai_sdk.v1.chat_pb2 import (
    FINISH_REASON_LENGTH,
    FINISH_REASON_STOP,
    ROLE_ASSISTANT,
    ROLE_SYSTEM,
    ROLE_USER,
    ChatMessage,
    ChatRequest,
    ContentPart,
    Usage,
)

pytestmark = pytest.mark.anyio


def conversation(*turns: tuple[int, str], **parameters: object) -> ChatRequest:
    messages = [ChatMessage(role=role, content=[ContentPart(text=text)]) for role, text in turns]
    return ChatRequest(model="repeater", messages=messages, **parameters)


def said(text: str, **parameters: object) -> ChatRequest:
    return conversation((ROLE_USER, text), **parameters)


async def answer(client, request) -> tuple[str, int]:
    choice = (await client.chat(request)).choices[0]
    return choice.message.content[0].text, choice.finish_reason


@pytest.mark.parametrize("text", ["", "a", " a", "a ", "a\n\n b\tc ", "  ", "日本 語", "a\x00b"])
def test_tokens_joined_are_the_text(text):
    assert "".join(tokens(text)) == text


async def test_last_user_message_is_repeated(client):
    request = conversation((ROLE_USER, "first"), (ROLE_USER, "last"), (ROLE_ASSISTANT, "no"))
    assert await answer(client, request) == ("last", FINISH_REASON_STOP)


async def test_stream_is_token_by_token(client):
    texts = [chunk.choices[0].text async for chunk in client.stream(said("a  b\nc "))]
    assert texts == ["a", "  b", "\nc", " ", ""]


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(0, ("", FINISH_REASON_LENGTH)), (2, ("a b", FINISH_REASON_LENGTH)), (3, ("a b c", FINISH_REASON_STOP))],
)
async def test_max_tokens_cuts(client, limit, expected):
    assert await answer(client, said("a b c", max_tokens=limit)) == expected


@pytest.mark.parametrize(
    ("stop", "expected"), [(["b"], "a "), (["x"], "a b c"), (["c", "b c"], "a "), (["a"], ""), (["a b c d"], "a b c")]
)
async def test_stop_ends_before_the_sequence(client, stop, expected):
    assert await answer(client, said("a b c", stop=stop)) == (expected, FINISH_REASON_STOP)


async def test_usage_counts_all_messages_and_the_answer(client):
    request = conversation((ROLE_SYSTEM, "be brief"), (ROLE_USER, "a b c"), max_tokens=2)
    assert (await client.chat(request)).usage == Usage(prompt_tokens=5, completion_tokens=2)


async def test_conversation_without_user_is_refused(client):
    with pytest.raises(InvalidRequestError, match="nothing to repeat") as raised:
        await client.chat(conversation((ROLE_SYSTEM, "x")))
    assert raised.value.param == "messages"


async def test_model_is_listed(client):
    assert [model.id for model in await client.models()] == ["repeater"]
