# SPDX-License-Identifier: Apache-2.0
"""Controls: what a text can make the repeater do."""

import asyncio
import time

import pytest

from conversations import answer, said
from cowabungaai_repeater.control import Control, parse
from cowabungaai_sdk.errors import (
    BackendFailedError,
    BackendOverloadedError,
    BackendTimeoutError,
    BackendUnavailableError,
    InvalidRequestError,
    ModelNotFoundError,
    UnsupportedError,
)
from cowabungaai_sdk.v1.common_pb2 import (
    FINISH_REASON_CONTENT_FILTER,
    FINISH_REASON_LENGTH,
    FINISH_REASON_STOP,
    FINISH_REASON_TOOL_CALLS,
)

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("/repeat tokens=2", ""),
        ("/repeat tokens=2 -- a -- b", "a -- b"),
        ("/repeat tokens=2\na\nb", "a\nb"),
        ("a\n/repeat tokens=2\nb", "a\nb"),
        ("/repeat\n/repeat tokens=2\na", "a"),
    ],
)
def test_controls_are_taken_out_of_the_text(text, rest):
    assert parse(text, Control(), "messages") == (rest, Control(tokens=2))


@pytest.mark.parametrize("text", ["", "a", "say /repeat tokens=2", "/repeated tokens=2", " /repeat tokens=2"])
def test_other_texts_are_left_alone(text):
    assert parse(text, Control(), "messages") == (text, Control())


def test_every_setting_is_read():
    text = "/repeat delay=20ms first=1.5s error=hang after=3 retry_after=2s finish=length tokens=64 usage=none call=a,b"
    _, control = parse(f'{text} reasoning="I think" refusal="I will not"', Control(), "messages")
    assert control == Control(
        delay_s=0.02,
        first_delay_s=1.5,
        error="hang",
        after=3,
        retry_after_s=2,
        finish=FINISH_REASON_LENGTH,
        tokens=64,
        reasoning="I think",
        refusal="I will not",
        calls=("a", "b"),
        usage=False,
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("speed=1", "unknown control 'speed=1'; expected delay=, first="),
        ("tokens", "unknown control 'tokens'"),
        ("delay=20", "the control delay is '20'; expected a time such as 20ms or 1.5s"),
        ("tokens=-1", "the control tokens is '-1'; expected a whole number from 0 to 1000000"),
        ("tokens=1000001", "expected a whole number from 0 to 1000000"),
        ("after=²", "expected a whole number"),
        (
            "error=odd",
            "expected one of failed, invalid, not_found, overloaded, timeout, unavailable, unsupported, crash",
        ),
        ("finish=odd", "expected one of stop, length, tool_calls, content_filter"),
        ("usage=odd", "expected one of none, full"),
        ("call=a,,b", "expected names of tools"),
        ('reasoning="a', "is not well quoted: No closing quotation"),
    ],
)
async def test_wrong_controls_are_refused_by_name(client, settings, message):
    with pytest.raises(InvalidRequestError) as raised:
        await client.chat(said(f"/repeat {settings} -- hi"))
    assert message in str(raised.value)
    assert raised.value.param == "messages"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("failed", BackendFailedError),
        ("invalid", InvalidRequestError),
        ("not_found", ModelNotFoundError),
        ("overloaded", BackendOverloadedError),
        ("timeout", BackendTimeoutError),
        ("unavailable", BackendUnavailableError),
        ("unsupported", UnsupportedError),
        ("crash", BackendFailedError),
    ],
)
@pytest.mark.parametrize(("after", "texts"), [(0, []), (2, ["a", " b"]), (9, ["a", " b", " c"])])
async def test_error_comes_after_as_many_pieces_as_asked_for(client, name, kind, after, texts):
    found = []

    async def read() -> None:
        async for chunk in client.chat_stream(said(f"/repeat error={name} after={after} -- a b c")):
            found.append(chunk.choices[0].text)

    with pytest.raises(kind):
        await read()
    assert found == texts


async def test_overload_says_when_to_come_back(client):
    with pytest.raises(BackendOverloadedError) as raised:
        await client.chat(said("/repeat error=overloaded retry_after=1.5s"))
    assert raised.value.retry_after_s == 1.5


async def test_hang_lasts_until_the_deadline(client):
    with pytest.raises(BackendTimeoutError):
        await client.chat(said("/repeat error=hang"), timeout_s=0.1)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("stop", FINISH_REASON_STOP),
        ("length", FINISH_REASON_LENGTH),
        ("tool_calls", FINISH_REASON_TOOL_CALLS),
        ("content_filter", FINISH_REASON_CONTENT_FILTER),
    ],
)
async def test_finish_reason_is_as_asked_for(client, name, reason):
    assert await answer(client, said(f"/repeat finish={name} -- a")) == ("a", reason)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("/repeat tokens=5 -- a b", "a b a b a"), ("/repeat tokens=1 -- a b", "a"), ("/repeat tokens=2", "repeat repeat")],
)
async def test_number_of_tokens_is_as_asked_for(client, text, expected):
    assert await answer(client, said(text)) == (expected, FINISH_REASON_STOP)


async def test_max_tokens_holds_for_them_too(client):
    request = said("/repeat tokens=1000000", max_tokens=2)
    assert await answer(client, request) == ("repeat repeat", FINISH_REASON_LENGTH)


async def test_refusal_is_said_instead(client):
    request = said('/repeat refusal="I will not" -- a', logprobs=True)
    found = (await client.chat(request)).choices[0]
    assert [part.WhichOneof("part") for part in found.message.content] == ["refusal"]
    assert found.message.content[0].refusal == "I will not"
    assert [item.token for item in found.logprobs.refusal] == ["I", " will", " not"]


async def test_plain_refusal_has_no_logprobs(client):
    found = (await client.chat(said("/repeat refusal=no"))).choices[0]
    assert (found.message.content[0].refusal, found.HasField("logprobs")) == ("no", False)


async def test_reasoning_is_as_asked_for(client):
    response = await client.chat(said('/repeat reasoning="let me see" -- a'))
    assert (response.choices[0].message.reasoning, response.usage.reasoning_tokens) == ("let me see", 3)


async def test_usage_can_be_left_out(client):
    chunks = []

    async def read() -> None:
        async for chunk in client.chat_stream(said("/repeat usage=none -- a")):
            chunks.append(chunk)

    with pytest.raises(BackendFailedError, match="without usage"):
        await read()
    assert not any(chunk.HasField("usage") for chunk in chunks)


@pytest.mark.parametrize(
    ("settings", "control"),
    [
        ({}, "/repeat first=60ms delay=30ms -- a b c"),
        ({"first_delay_s": 0.06, "delay_s": 0.03}, "a b c"),
        ({"first_delay_s": 9, "delay_s": 9}, "/repeat first=60ms delay=30ms -- a b c"),
    ],
)
async def test_tokens_take_their_time(serve, settings, control):
    client, started, times = await serve(**settings), time.perf_counter(), []
    async for _ in client.chat_stream(said(control)):
        times.append(time.perf_counter() - started)
    assert times[0] >= 0.06
    assert times[2] - times[0] >= 0.055
    assert times[-1] < 2


async def test_delay_ends_at_once_when_the_caller_leaves(client):
    stream = client.chat_stream(said("/repeat delay=60s -- a b"))
    await anext(stream)
    started = time.perf_counter()
    await stream.aclose()
    assert time.perf_counter() - started < 0.5


async def test_long_answers_let_others_have_their_turn(client):
    long = asyncio.create_task(client.chat(said("/repeat tokens=200000", n=2)))
    await asyncio.sleep(0.1)
    short = await asyncio.wait_for(client.chat(said("hi")), 3)
    assert (short.choices[0].message.content[0].text, long.done()) == ("hi", False)
    long.cancel()
