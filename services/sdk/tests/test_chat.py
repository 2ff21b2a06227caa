# SPDX-License-Identifier: Apache-2.0
"""Chat through server kit and client."""

import asyncio
import logging

import pytest

from cowabungaai_sdk.backend import ChatDelta
from cowabungaai_sdk.errors import (
    BackendFailedError,
    BackendTimeoutError,
    BackendUnavailableError,
    InvalidRequestError,
    ModelNotFoundError,
)
from cowabungaai_sdk.logs import JsonFormatter
from cowabungaai_sdk.server import BackendServer, ServerConfig
from cowabungaai_sdk.v1.chat_pb2 import ContentPart
from cowabungaai_sdk.v1.common_pb2 import (
    FINISH_REASON_STOP,
    FINISH_REASON_TOOL_CALLS,
    FINISH_REASON_UNSPECIFIED,
    Usage,
)
from sample_backends import Broken, Everything, Gated, Picky, Scripted, Words

pytestmark = pytest.mark.anyio


async def test_answer_is_joined(serve, request_):
    response = await (await serve(Words())).client.chat(request_)
    assert response.choices[0].message.content[0].text == "one two three"


async def test_answer_has_usage_and_reason(serve, request_):
    response = await (await serve(Words())).client.chat(request_)
    assert (response.usage, response.choices[0].finish_reason) == (
        Usage(prompt_tokens=2, completion_tokens=3),
        FINISH_REASON_STOP,
    )


async def test_answers_have_ids_of_their_own(serve, request_):
    client = (await serve(Words())).client
    assert (await client.chat(request_)).id != (await client.chat(request_)).id


async def test_stream_comes_in_pieces(serve, request_):
    client = (await serve(Words())).client
    assert [chunk.choices[0].text async for chunk in client.chat_stream(request_)] == ["one", " two", " three", ""]


async def test_only_first_chunk_has_id_time_model_and_fingerprint(serve, request_):
    client = (await serve(Everything())).client
    request_.n = 1
    chunks = [chunk async for chunk in client.chat_stream(request_)]
    heads = [bool(chunk.id and chunk.created and chunk.model and chunk.system_fingerprint) for chunk in chunks]
    tails = [bool(chunk.id or chunk.created or chunk.model or chunk.system_fingerprint) for chunk in chunks[1:]]
    assert (heads[0], any(tails)) == (True, False)


async def test_only_last_chunk_has_reason_and_usage(serve, request_):
    client = (await serve(Words())).client
    ends = [(chunk.choices[0].finish_reason, chunk.HasField("usage")) async for chunk in client.chat_stream(request_)]
    assert ends == [(FINISH_REASON_UNSPECIFIED, False)] * 3 + [(FINISH_REASON_STOP, True)]


async def test_zero_arrives_as_zero_and_unset_as_unset(serve, request_):
    backend = Words()
    request_.sampling.temperature = 0
    await (await serve(backend)).client.chat(request_)
    sampling = backend.request.sampling
    assert (sampling.HasField("temperature"), sampling.HasField("top_p")) == (True, False)


async def test_models_are_listed(serve):
    models = await (await serve(Words())).client.models()
    assert [(model.id, model.context_length) for model in models] == [("words", 8)]


async def test_unknown_model_is_refused_with_the_right_ones(serve, request_):
    request_.model = "wrods"
    client = (await serve(Words())).client
    with pytest.raises(ModelNotFoundError, match="no model 'wrods' here; there is words"):
        await client.chat(request_)


async def test_long_name_in_an_error_is_cut(serve, request_):
    request_.model = "模" * 5000
    client = (await serve(Words())).client
    with pytest.raises(ModelNotFoundError) as raised:
        await client.chat(request_)
    assert len(str(raised.value)) < 700


async def test_status_is_logged_with_the_times(serve, request_, caplog):
    caplog.set_level(logging.INFO, "cowabungaai")
    served = await serve(Gated())
    with pytest.raises(BackendTimeoutError):
        await served.client.chat(request_, timeout_s=1)
    await served.server.stop()
    fields = next(record.fields for record in caplog.records if record.message == "call")
    assert fields["method"] == "Chat"
    assert fields["status"] == "DEADLINE_EXCEEDED"
    assert fields["model"] == "words"
    # The client's second began before the server's.
    assert fields["ms"] >= 500
    assert fields["queued_ms"] < 500
    assert fields["first_piece_ms"] < 500


async def test_backend_refusal_names_its_parameter(serve, request_):
    client = (await serve(Picky())).client
    with pytest.raises(InvalidRequestError, match="too warm") as raised:
        await client.chat(request_)
    assert raised.value.param == "temperature"


async def test_failure_reaches_the_caller_without_the_conversation(serve, request_):
    client = (await serve(Broken())).client
    with pytest.raises(BackendFailedError) as raised:
        await client.chat(request_)
    assert "secret" not in str(raised.value)


async def test_failure_in_mid_stream_follows_the_first_chunk(serve, request_):
    client, texts = (await serve(Broken())).client, []

    async def read():
        async for chunk in client.chat_stream(request_):
            texts.append(chunk.choices[0].text)

    with pytest.raises(BackendFailedError):
        await read()
    assert texts == ["one"]


async def test_logs_hold_no_conversation(serve, request_, caplog):
    caplog.set_level(logging.DEBUG, "cowabungaai")
    client = (await serve(Broken())).client
    with pytest.raises(BackendFailedError):
        await client.chat(request_)
    lines = [JsonFormatter().format(record) for record in caplog.records if record.name.startswith("cowabungaai")]
    assert any("builtins.RuntimeError" in line for line in lines)
    assert not any("secret" in line for line in lines)


async def test_choices_are_collected_with_all_their_parts(serve, request_):
    request_.n = 2
    response = await (await serve(Everything())).client.chat(request_)
    assert response.system_fingerprint == "everything-1"
    assert [choice.index for choice in response.choices] == [0, 1]
    choice = response.choices[1]
    assert list(choice.message.content) == [ContentPart(text="yes"), ContentPart(refusal="no")]
    assert choice.message.reasoning == "hmm"
    call = choice.message.tool_calls[0]
    assert (call.id, call.name, call.arguments) == ("call_1", "look", '{"a": 1}')
    assert [item.token for item in choice.logprobs.content] == ["yes"]
    assert choice.finish_reason == FINISH_REASON_TOOL_CALLS


async def test_stream_passes_all_parts_on(serve, request_):
    request_.n = 2
    client = (await serve(Everything())).client
    chunks = [chunk async for chunk in client.chat_stream(request_)]
    pieces = [choice for chunk in chunks for choice in chunk.choices if choice.index == 1]
    assert "".join(piece.reasoning for piece in pieces) == "hmm"
    assert "".join(call.arguments for piece in pieces for call in piece.tool_calls) == '{"a": 1}'
    assert (len(chunks[-1].choices), chunks[-1].usage.completion_tokens) == (0, 2)


END = ChatDelta(finish_reason=FINISH_REASON_STOP)
USAGE = ChatDelta(usage=Usage())


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("deltas", "message"),
    [
        ([ChatDelta("one"), END], "ended without usage"),
        ([ChatDelta("one"), USAGE], "without a finish reason of choice 0"),
        ([ChatDelta(finish_reason=FINISH_REASON_UNSPECIFIED), USAGE], "without a finish reason of choice 0"),
        ([END, USAGE, ChatDelta("one")], "went on after its usage"),
        ([END, ChatDelta("one")], "a piece of choice 0, which ended or is none"),
        ([ChatDelta("one", index=1)], "a piece of choice 1, which ended or is none"),
    ],
)
async def test_answer_that_breaks_the_interface_is_the_backends_failure(serve, request_, deltas, message, stream):
    client = (await serve(Scripted(*deltas))).client

    async def ask():
        if not stream:
            return await client.chat(request_)
        return [chunk async for chunk in client.chat_stream(request_)]

    with pytest.raises(BackendFailedError, match=message):
        await ask()


async def test_deadline_ends_the_call(serve, request_):
    client = (await serve(Gated())).client
    with pytest.raises(BackendTimeoutError, match="deadline"):
        await client.chat(request_, timeout_s=0.1)


async def test_deadline_reaches_the_backend(serve, request_):
    backend = Gated()
    client = (await serve(backend)).client
    with pytest.raises(BackendTimeoutError):
        await client.chat(request_, timeout_s=0.1)
    await asyncio.wait_for(backend.cancelled.wait(), 1)


async def test_closing_a_stream_stops_the_backend_within_100_ms(serve, request_):
    backend = Gated()
    stream = (await serve(backend)).client.chat_stream(request_)
    await anext(stream)
    await backend.begun.wait()
    await stream.aclose()
    await asyncio.wait_for(backend.cancelled.wait(), 0.1)


async def test_client_finds_a_restarted_backend(serve, request_):
    served = await serve(Words())
    await served.client.chat(request_)
    await served.server.stop()
    again = BackendServer(Words(), ServerConfig("127.0.0.1", int(served.target.rpartition(":")[2]), drain_s=0))
    await again.start()
    await again.load()
    try:
        async with asyncio.timeout(3):
            while True:
                try:
                    await served.client.chat(request_)
                except BackendUnavailableError:
                    await asyncio.sleep(0.05)
                else:
                    break
    finally:
        await again.stop()
