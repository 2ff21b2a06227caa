# SPDX-License-Identifier: Apache-2.0
"""Completions, embeddings, transcripts and token counts through server kit and client."""

import asyncio

import grpc
import pytest

from cowabungaai_sdk.errors import BackendFailedError, InvalidRequestError, UnsupportedError
from cowabungaai_sdk.uploads import PIECE_BYTES
from cowabungaai_sdk.v1.audio_pb2 import AUDIO_TASK_TRANSCRIBE, TranscribeOptions, TranscribeRequest
from cowabungaai_sdk.v1.audio_pb2_grpc import AudioServiceStub
from cowabungaai_sdk.v1.common_pb2 import FINISH_REASON_LENGTH, TextInput, Usage
from cowabungaai_sdk.v1.completion_pb2 import CompletionRequest
from cowabungaai_sdk.v1.embedding_pb2 import EmbeddingRequest
from cowabungaai_sdk.v1.tokens_pb2 import CountTokensRequest
from cowabungaai_sdk.vectors import unpack
from sample_backends import Everything, Words

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client(serve):
    return (await serve(Everything())).client


def inputs(*texts: str) -> list[TextInput]:
    return [TextInput(text=text) for text in texts]


def options(language: str = "en") -> TranscribeOptions:
    return TranscribeOptions(model="words", task=AUDIO_TASK_TRANSCRIBE, language=language)


async def pieces(*found: bytes):
    for piece in found:
        yield piece


async def test_completion_is_collected(client):
    response = await client.complete(CompletionRequest(model="words", prompts=inputs("ab", "cd")))
    assert [(choice.index, choice.text) for choice in response.choices] == [(0, "ab"), (1, "cd")]
    assert [item.token for item in response.choices[0].logprobs] == ["a", "b"]
    assert response.choices[0].finish_reason == FINISH_REASON_LENGTH
    assert response.usage == Usage(prompt_tokens=3, completion_tokens=4)
    assert response.id.startswith("cmpl-")
    assert response.system_fingerprint == "everything-1"


async def test_completion_streams(client):
    request = CompletionRequest(model="words", prompts=inputs("ab", "cd"))
    chunks = [chunk async for chunk in client.complete_stream(request)]
    assert [choice.text for chunk in chunks for choice in chunk.choices] == ["a", "b", "", "c", "d", ""]
    assert [bool(chunk.id) for chunk in chunks] == [True] + [False] * 5
    assert [chunk.HasField("usage") for chunk in chunks] == [False] * 5 + [True]


async def test_embeddings_come_in_the_order_of_the_inputs(client):
    response = await client.embed(EmbeddingRequest(model="words", inputs=inputs("a", "abc")))
    assert [unpack(vector) for vector in response.vectors] == [(1, 0.5), (3, 0.5)]
    assert (response.model, response.usage) == ("words", Usage(prompt_tokens=2))


async def test_lost_vector_is_the_backends_failure(client):
    with pytest.raises(BackendFailedError, match="1 vectors for 2 inputs"):
        await client.embed(EmbeddingRequest(model="words", inputs=inputs("a", "lost")))


async def test_tokens_are_counted(client):
    assert (await client.count_tokens(CountTokensRequest(model="words", text="abc"))).count == 3


async def test_transcript_is_collected(client):
    answer = await client.transcribe(options(), pieces(b"abc", b"", b"de"))
    assert [segment.text for segment in answer.segments] == ["5 bytes"]
    assert (answer.facts.model, answer.facts.duration) == ("words", 1.5)


async def test_transcript_streams(client):
    chunks = [chunk async for chunk in client.transcribe_stream(options(), pieces(b"abc"))]
    assert [chunk.HasField("facts") for chunk in chunks] == [False, True]


async def test_large_piece_of_audio_is_split(client):
    answer = await client.transcribe(options(), pieces(b"x" * (3 * PIECE_BYTES + 1)))
    assert answer.segments[0].text == f"{3 * PIECE_BYTES + 1} bytes"


async def test_empty_audio_is_refused(client):
    with pytest.raises(InvalidRequestError, match="the audio is empty") as raised:
        await client.transcribe(options(), pieces(b""))
    assert raised.value.param == "audio"


@pytest.mark.parametrize(("language", "message"), [("eng", "without facts"), ("deu", "after its facts")])
async def test_transcript_that_breaks_the_interface_is_the_backends_failure(client, language, message):
    with pytest.raises(BackendFailedError, match=message):
        await client.transcribe(options(language), pieces(b"abc"))


@pytest.mark.parametrize("stream", [False, True])
async def test_refusal_comes_before_the_audio_has_ended(client, stream):
    """Many times over: gRPC's own status for what it cannot write must never be taken for the backend's."""

    async def endless():
        while True:
            yield b"x" * 1000
            await asyncio.sleep(0)

    async def ask():
        wrong = TranscribeOptions(model="words")
        if not stream:
            return await client.transcribe(wrong, endless())
        return [chunk async for chunk in client.transcribe_stream(wrong, endless())]

    for _ in range(30):
        with pytest.raises(InvalidRequestError, match="task") as raised:
            await asyncio.wait_for(ask(), 3)
        assert raised.value.param == "task"


@pytest.mark.parametrize("stream", [False, True])
async def test_error_of_the_audios_source_is_raised(client, stream):
    async def broken():
        yield b"abc"
        raise LookupError("the upload broke")

    async def ask():
        if not stream:
            return await client.transcribe(options(), broken())
        return [chunk async for chunk in client.transcribe_stream(options(), broken())]

    with pytest.raises(LookupError, match="the upload broke"):
        await ask()


async def test_cancelled_transcription_closes_the_audios_source(client):
    closed, begun = asyncio.Event(), asyncio.Event()

    async def waiting():
        try:
            yield b"abc"
            begun.set()
            await asyncio.Event().wait()
        finally:
            closed.set()

    call = asyncio.create_task(client.transcribe(options(), waiting()))
    await begun.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert closed.is_set()


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([], "options"),
        ([TranscribeRequest(audio=b"abc")], "options"),
        ([TranscribeRequest(options=options()), TranscribeRequest(options=options())], "audio"),
    ],
)
async def test_messages_out_of_order_are_refused(serve, messages, param):
    target = (await serve(Everything())).target
    async with grpc.aio.insecure_channel(target) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await AudioServiceStub(channel).Transcribe(iter(messages))
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert ("cowabungaai-param", param) in list(raised.value.trailing_metadata())


async def test_capability_that_the_backend_lacks_is_unsupported(serve):
    client = (await serve(Words())).client
    with pytest.raises(UnsupportedError, match="does not offer this"):
        await client.embed(EmbeddingRequest(model="words", inputs=inputs("a")))
    with pytest.raises(UnsupportedError, match="does not offer this"):
        await client.transcribe(options(), pieces(b"abc"))
