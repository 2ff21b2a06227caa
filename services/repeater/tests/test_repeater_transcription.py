# SPDX-License-Identifier: Apache-2.0
"""Transcripts."""

import hashlib
import io
import itertools
import tracemalloc
import wave

import pytest

from cowabungaai_repeater.transcription import read
from cowabungaai_sdk.errors import BackendUnavailableError, InvalidRequestError
from cowabungaai_sdk.v1.audio_pb2 import AUDIO_TASK_TRANSCRIBE, AUDIO_TASK_TRANSLATE, TranscribeOptions

pytestmark = pytest.mark.anyio


def sound(seconds: float, rate: int = 16000, channels: int = 1) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(channels)
        written.setsampwidth(2)
        written.setframerate(rate)
        written.writeframes(bytes(int(seconds * rate) * channels * 2))
    return file.getvalue()


def options(**parameters: object) -> TranscribeOptions:
    return TranscribeOptions(**{"model": "repeater", "task": AUDIO_TASK_TRANSCRIBE, **parameters})


async def pieces(data: bytes, size: int = 10_000):
    for start in range(0, len(data), size):
        yield data[start : start + size]


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:8]


async def test_facts_are_stated_in_segments_of_five_seconds(client):
    data = sound(12.5)
    answer = await client.transcribe(options(), pieces(data))
    assert [segment.text for segment in answer.segments] == [
        f" 12.5 seconds, 16000 Hz, 1 channel, 400044 bytes, sha256 {digest(data)}",
        " segment 2 from 5 to 10 seconds",
        " segment 3 from 10 to 12.5 seconds",
    ]
    assert [(segment.id, segment.start, segment.end) for segment in answer.segments] == [
        (0, 0, 5),
        (1, 5, 10),
        (2, 10, 12.5),
    ]
    assert (answer.facts.duration, answer.facts.language, answer.facts.language_probability) == (12.5, "en", 1)


async def test_stream_has_a_segment_a_chunk_and_the_facts_last(client):
    chunks = [chunk async for chunk in client.transcribe_stream(options(), pieces(sound(6, channels=2)))]
    assert [(len(chunk.segments), chunk.HasField("facts")) for chunk in chunks] == [(1, False), (1, False), (0, True)]
    assert "6 seconds, 16000 Hz, 2 channels" in chunks[0].segments[0].text


async def test_given_language_is_kept(client):
    facts = (await client.transcribe(options(language="de"), pieces(sound(1)))).facts
    assert (facts.language, facts.HasField("language_probability")) == ("de", False)


async def test_translation_says_so(client):
    answer = await client.transcribe(options(task=AUDIO_TASK_TRANSLATE), pieces(sound(1)))
    assert answer.segments[0].text.startswith(" translated: 1 seconds")


async def test_words_share_their_segments_time(client):
    answer = await client.transcribe(options(word_timestamps=True), pieces(sound(7)))
    for segment in answer.segments:
        assert " ".join(word.word.strip() for word in segment.words) == segment.text.strip()
        assert segment.words[0].start == segment.start
        assert segment.words[-1].end == pytest.approx(segment.end)
        assert all(a.end == pytest.approx(b.start) for a, b in itertools.pairwise(segment.words))


async def test_no_words_unless_asked_for(client):
    answer = await client.transcribe(options(), pieces(sound(1)))
    assert [len(segment.words) for segment in answer.segments] == [0]


async def test_windows_are_of_thirty_seconds(client):
    answer = await client.transcribe(options(), pieces(sound(61, rate=800)))
    assert [segment.seek for segment in answer.segments] == [0] * 6 + [3000] * 6 + [6000]


@pytest.mark.parametrize("data", [b"ID3 not a wav file", b"RIFF", sound(1)[:30]])
async def test_other_files_have_size_and_digest_only(client, data):
    answer = await client.transcribe(options(), pieces(data))
    assert [segment.text for segment in answer.segments] == [f" {len(data)} bytes, sha256 {digest(data)}"]
    assert answer.facts.duration == 0


async def test_cut_file_is_as_long_as_it_is(client):
    answer = await client.transcribe(options(), pieces(sound(4)[: 44 + 32_000]))
    assert answer.facts.duration == 1


async def test_memory_stays_bounded():
    async def large():
        yield sound(1)
        for _ in range(2000):
            yield bytes(32_768)

    tracemalloc.start()
    try:
        found = await read(large())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.size > 65_000_000
    assert peak < 2_000_000


async def test_prompt_has_controls(client):
    with pytest.raises(BackendUnavailableError):
        await client.transcribe(options(prompt="/repeat error=unavailable after=1"), pieces(sound(6)))
    with pytest.raises(InvalidRequestError) as raised:
        await client.transcribe(options(prompt="/repeat odd=1"), pieces(sound(6)))
    assert raised.value.param == "prompt"
