# SPDX-License-Identifier: Apache-2.0
"""POST audio/transcriptions and audio/translations, by the official client."""

import io
import wave

import openai
import pytest

from cowabungaai_api.operations.subtitles import srt, vtt
from cowabungaai_api.schemas.responses import AudioVerbose
from cowabungaai_sdk.v1.audio_pb2 import Segment


def sound(seconds: float) -> bytes:
    """Silence as a WAV file."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(b"\0\0" * int(16000 * seconds))
    return out.getvalue()


WAV = sound(12.5)


def test_transcription(client):
    answer = client.audio.transcriptions.create(model="repeater", file=("a.wav", WAV))
    assert "12.5 seconds" in answer.text


@pytest.mark.anyio
async def test_transcription_async(async_client):
    async with async_client:
        answer = await async_client.audio.transcriptions.create(model="repeater", file=("a.wav", WAV))
    assert "12.5 seconds" in answer.text


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # the client marks overloads of its own so
def test_translation(client):
    assert client.audio.translations.create(model="repeater", file=("a.wav", WAV)).text.startswith("translated:")


def test_text(client):
    text = client.audio.transcriptions.create(model="repeater", file=("a.wav", WAV), response_format="text")
    assert "12.5 seconds" in text
    assert not text.startswith("{")


def test_verbose_json_with_words_and_segments(client):
    answer = client.audio.transcriptions.create(
        model="repeater",
        file=("a.wav", WAV),
        language="de",
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )
    assert (answer.language, answer.duration) == ("german", 12.5)
    assert [segment.id for segment in answer.segments] == list(range(len(answer.segments)))
    assert answer.segments[-1].end <= 12.5
    assert len(answer.words) > 0
    AudioVerbose.model_validate(answer.model_dump())


def test_verbose_json_has_segments_unless_told_otherwise(client):
    answer = client.audio.transcriptions.create(model="repeater", file=("a.wav", WAV), response_format="verbose_json")
    assert answer.segments
    assert answer.words is None


@pytest.mark.parametrize(("form", "start"), [("srt", "1\n00:00:00,000 --> "), ("vtt", "WEBVTT\n\n00:00:00.000 --> ")])
def test_subtitles(client, form, start):
    text = client.audio.transcriptions.create(model="repeater", file=("a.wav", WAV), response_format=form)
    assert text.startswith(start)


def test_stream(client):
    events = list(client.audio.transcriptions.create(model="repeater", file=("a.wav", WAV), stream=True))
    assert [event.type for event in events[-1:]] == ["transcript.text.done"]
    assert "".join(event.delta for event in events[:-1]).strip() == events[-1].text
    assert len(events) > 2


def test_cue_that_holds_an_arrow_stays_one_cue():
    segments = [Segment(start=0, end=3661.5, text=" a --> b\n\nc")]
    assert srt(segments) == "1\n00:00:00,000 --> 01:01:01,500\na -> b\nc\n\n"
    assert vtt(segments) == "WEBVTT\n\n00:00:00.000 --> 01:01:01.500\na -> b\nc\n\n"


@pytest.mark.parametrize(
    ("parameters", "param"),
    [
        ({"temperature": 2}, "temperature"),
        ({"language": "german"}, "language"),
        ({"response_format": "diarized_json"}, "response_format"),
        ({"timestamp_granularities": ["word"]}, "timestamp_granularities"),
        ({"response_format": "srt", "stream": True}, "stream"),
        ({"include": ["logprobs"]}, "include"),
        ({"extra_body": {"colour": "red"}}, "colour"),
    ],
)
def test_wrong_parameter_is_refused_by_name(client, parameters, param):
    with pytest.raises(openai.BadRequestError) as raised:
        client.audio.transcriptions.create(model="repeater", file=("a.wav", WAV), **parameters)
    assert raised.value.param == param


def test_missing_and_empty_file(client, http):
    with pytest.raises(openai.BadRequestError) as raised:
        client.audio.transcriptions.create(model="repeater", file=("a.wav", b""))
    assert raised.value.param == "file"
    answer = http.post("/openai/v1/audio/transcriptions", files={"model": (None, "repeater")})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "file")


def test_form_that_is_none(http):
    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = http.post("/openai/v1/audio/transcriptions", content=b"nothing", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_form")


def test_json_where_a_form_is_wanted_is_415(http):
    answer = http.post("/openai/v1/audio/transcriptions", json={"model": "repeater"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_media_type")


def test_upload_that_is_too_large_is_413(client):
    with pytest.raises(openai.APIStatusError) as raised:
        client.audio.transcriptions.create(model="repeater", file=("a.wav", bytes(2_000_001)))
    assert raised.value.status_code == 413
