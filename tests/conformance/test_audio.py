# SPDX-License-Identifier: Apache-2.0
"""audio/transcriptions and audio/translations: response formats, timestamps, streams."""

from __future__ import annotations

import re
from typing import Any

import httpx2
import openai
import pytest

from conformance.ask import SPEECH_S, Sound
from conformance.target import OPENAI, OWN, Model

# The client's makers would have people use other endpoints for translations; this one is still theirs.
pytestmark = [pytest.mark.endpoint("audio"), pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")]
TIME = r"\d{2}:\d{2}:\d{2}[,.]\d{3}"
transcribes = pytest.mark.needs("transcription")
translates = pytest.mark.needs("translation")
BOTH = [pytest.param("transcriptions", marks=transcribes), pytest.param("translations", marks=translates)]


def ask(client: openai.OpenAI, kind: str, model: str, sound: Sound, **parameters: Any) -> Any:
    """Asks one of the two endpoints."""
    endpoint: Any = getattr(client.audio, kind)
    return endpoint.create(model=model, file=sound, **parameters)


@pytest.mark.parametrize("kind", BOTH)
def test_json_has_the_text(client: openai.OpenAI, model: str, sound: Sound, kind: str) -> None:
    plain = ask(client, kind, model, sound)
    assert isinstance(plain.text, str)
    assert plain == ask(client, kind, model, sound, response_format="json")


@transcribes
def test_usage_is_the_duration_in_begun_seconds_or_tokens(client: openai.OpenAI, model: str, sound: Sound) -> None:
    usage = ask(client, "transcriptions", model, sound).usage
    if usage.type == "duration":
        assert usage.seconds == 6
    else:
        assert usage.total_tokens == usage.input_tokens + usage.output_tokens > 0


@pytest.mark.parametrize("kind", BOTH)
def test_text_is_plain(client: openai.OpenAI, model: str, sound: Sound, kind: str) -> None:
    text = ask(client, kind, model, sound, response_format="text")
    assert isinstance(text, str)
    assert text.strip() == ask(client, kind, model, sound).text


@pytest.mark.parametrize("kind", BOTH)
def test_verbose_json_has_segments(client: openai.OpenAI, chosen: Model, sound: Sound, kind: str) -> None:
    answer = ask(client, kind, chosen.id, sound, response_format="verbose_json")
    assert answer.duration == pytest.approx(6 if chosen.exact else SPEECH_S, abs=0.05)
    assert answer.language.isalpha()
    assert [segment.id for segment in answer.segments] == list(range(len(answer.segments)))
    ends = [0.0] + [segment.end for segment in answer.segments]
    for before, segment in zip(ends, answer.segments, strict=False):
        assert before - 0.01 <= segment.start <= segment.end <= 6.05
    assert "".join(segment.text for segment in answer.segments).strip() == answer.text


@pytest.mark.parametrize("kind", BOTH)
def test_subrip_has_numbers_and_times(client: openai.OpenAI, model: str, sound: Sound, kind: str) -> None:
    text = ask(client, kind, model, sound, response_format="srt")
    for number, block in enumerate(filter(None, text.strip().split("\n\n")), 1):
        first, second, *lines = block.splitlines()
        assert first == str(number)
        assert re.fullmatch(rf"{TIME} --> {TIME}".replace("[,.]", ","), second)
        assert lines


@pytest.mark.parametrize("kind", BOTH)
def test_webvtt_has_its_header_and_times(client: openai.OpenAI, model: str, sound: Sound, kind: str) -> None:
    header, *cues = ask(client, kind, model, sound, response_format="vtt").strip().split("\n\n")
    assert header == "WEBVTT"
    for cue in cues:
        assert re.match(rf"{TIME} --> {TIME}\n".replace("[,.]", "[.]"), cue)


@transcribes
@pytest.mark.parametrize("granularities", [["word"], ["segment"], ["word", "segment"]], ids=str)
def test_timestamps_are_those_asked_for(
    client: openai.OpenAI, model: str, sound: Sound, granularities: list[str]
) -> None:
    answer = ask(
        client,
        "transcriptions",
        model,
        sound,
        response_format="verbose_json",
        timestamp_granularities=granularities,
    )
    assert (answer.words is not None) is ("word" in granularities)
    assert (answer.segments is not None) is ("segment" in granularities)
    for word in answer.words or ():
        assert 0 <= word.start <= word.end <= 6.05
        assert word.word == word.word.strip()


@transcribes
@pytest.mark.parametrize(
    "parameters",
    [
        {"language": "en"},
        {"prompt": "A tone."},
        {"temperature": 0.3},
        {"chunking_strategy": "auto"},
        {"include": []},
        {"stream": False},
    ],
    ids=str,
)
def test_a_parameter_is_taken(client: openai.OpenAI, model: str, sound: Sound, parameters: dict[str, Any]) -> None:
    assert isinstance(ask(client, "transcriptions", model, sound, **parameters).text, str)


@transcribes
@pytest.mark.parametrize(("code", "name"), [("en", "english"), ("de", "german")])
def test_a_language_given_is_the_language_told(
    client: openai.OpenAI, model: str, sound: Sound, code: str, name: str
) -> None:
    told, refused = None, None
    try:
        told = ask(client, "transcriptions", model, sound, language=code, response_format="verbose_json").language
    except openai.BadRequestError as error:
        refused = error.param
    # A model of English alone refuses others.
    assert told == name or (code, refused) == ("de", "language")


@transcribes
@pytest.mark.parametrize("form", ["json", "text"])
def test_a_stream_gives_pieces_and_then_the_whole(client: openai.OpenAI, model: str, sound: Sound, form: str) -> None:
    events = list(ask(client, "transcriptions", model, sound, stream=True, response_format=form))
    *pieces, done = events
    assert {piece.type for piece in pieces} <= {"transcript.text.delta"}
    assert done.type == "transcript.text.done"
    assert "".join(piece.delta for piece in pieces).strip() == done.text
    assert done.text == ask(client, "transcriptions", model, sound).text


@transcribes
@pytest.mark.parametrize("prefix", [OPENAI, OWN])
def test_both_prefixes_answer_alike(http: httpx2.Client, model: str, sound: Sound, prefix: str) -> None:
    answers = [
        http.post(f"{path}/audio/transcriptions", data={"model": model}, files={"file": sound})
        for path in (OPENAI, prefix)
    ]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()


@pytest.mark.exact
@transcribes
def test_the_file_arrives_whole(client: openai.OpenAI, model: str, sound: Sound) -> None:
    text = ask(client, "transcriptions", model, sound).text
    assert text.startswith(f"6 seconds, 16000 Hz, 1 channel, {len(sound.data)} bytes, sha256 ")
    assert ask(client, "transcriptions", model, Sound("zeros.wav", bytes(3_000_000))).text.startswith(
        "3000000 bytes, sha256 "
    )


@pytest.mark.exact
@translates
def test_a_translation_is_one(client: openai.OpenAI, model: str, sound: Sound) -> None:
    assert ask(client, "translations", model, sound).text.startswith("translated: 6 seconds")


@pytest.mark.exact
@transcribes
def test_every_word_has_its_time(client: openai.OpenAI, model: str, sound: Sound) -> None:
    answer = ask(
        client, "transcriptions", model, sound, response_format="verbose_json", timestamp_granularities=["word"]
    )
    assert [word.word for word in answer.words] == answer.text.split()
    assert answer.words[-1].end == pytest.approx(6, abs=0.01)
