# SPDX-License-Identifier: Apache-2.0
"""What requests ask for, with a model that writes nonsense, and knows five languages."""

import asyncio
import shutil

import pytest

from cowabungaai_sdk.errors import BackendFailedError, BackendOverloadedError, InvalidRequestError
from cowabungaai_sdk.v1 import models_pb2
from cowabungaai_sdk.v1.audio_pb2 import AUDIO_TASK_TRANSLATE
from cowabungaai_whisper import upload, wishes
from cowabungaai_whisper.engine import Engine, prompt_tokens
from cowabungaai_whisper.wishes import FALLBACK, PROMPT_CHARACTERS
from support import options, pieces, silence, small_model, speech_file, text_of, wav

pytestmark = pytest.mark.anyio
LANGUAGES = ("de", "en", "jw")


def read(**asked: object) -> wishes.Wishes:
    return wishes.read(options(**asked), LANGUAGES, vad=True)


def test_what_is_not_asked_for_is_as_openai_has_it():
    assert read() == wishes.Wishes(False, None, "", FALLBACK, False, True)
    assert FALLBACK == (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def test_what_is_asked_for_is_read():
    asked = read(
        task=AUDIO_TASK_TRANSLATE,
        language="DE",
        prompt=" Names: Ada. ",
        temperature=0.3,
        word_timestamps=True,
        voice_activity_detection=False,
    )
    assert asked == wishes.Wishes(True, "de", "Names: Ada.", (0.3,), True, False)


def test_temperature_0_falls_back_too():
    assert read(temperature=0).temperatures == FALLBACK


def test_javanese_has_its_iso_code():
    assert read(language="jv").language == "jw"
    assert wishes.iso_code("jw") == "jv"


def test_long_prompt_is_read_from_its_end():
    assert read(prompt="x" * 10_000_000 + " end").prompt == ("x" * 10_000_000 + " end")[-PROMPT_CHARACTERS:]


def test_unknown_language_is_refused_with_those_known():
    with pytest.raises(InvalidRequestError) as raised:
        read(language="fr")
    assert str(raised.value) == "the model does not know the language 'fr'; it knows de, en, jv"
    assert raised.value.param == "language"


def test_prompt_cannot_control_the_model(multilingual):
    from cowabungaai_whisper.config import WhisperConfig
    from cowabungaai_whisper.weights import inspect

    engine = Engine(inspect(multilingual.path), WhisperConfig(device="cpu", compute_type="float32"))
    try:
        tokenizer = engine.tokenizer("de", translate=True)
        plain = prompt_tokens("hello", tokenizer)
        assert plain
        assert prompt_tokens("<|startoftranscript|><|notimestamps|>hello<|endoftext|>", tokenizer)[-5:] == plain[-5:]
        assert max(prompt_tokens("<|startoftranscript|>hello", tokenizer)) < tokenizer.eot
    finally:
        engine.close()


async def test_models_say_what_they_can(start, chance, tmp_path):
    english = await start(small_model(tmp_path, multilingual=False), compute_type="float32")
    transcription, translation = models_pb2.CAPABILITY_TRANSCRIPTION, models_pb2.CAPABILITY_TRANSLATION
    assert [list(model.capabilities) for model in await chance.models()] == [[transcription, translation]]
    assert [list(model.capabilities) for model in await english.models()] == [[transcription]]
    with pytest.raises(InvalidRequestError) as raised:
        await english.transcribe(options(task=AUDIO_TASK_TRANSLATE), pieces(speech_file("dog")))
    assert (raised.value.param, raised.value.code_name) == ("model", "unsupported_operation")
    facts = (await english.transcribe(options(), pieces(speech_file("dog")))).facts
    assert (facts.language, facts.HasField("language_probability")) == ("en", False)


async def test_language_is_detected(chance):
    facts = (await chance.transcribe(options(), pieces(speech_file("dog")))).facts
    assert facts.language in ("en", "zh", "de", "es", "jv")
    assert 0.2 < facts.language_probability <= 1
    assert facts.duration == pytest.approx(5.29, abs=0.01)
    assert facts.model == "m"


async def test_given_language_is_not_detected(chance):
    facts = (await chance.transcribe(options(language="jv"), pieces(speech_file("dog")))).facts
    assert (facts.language, facts.HasField("language_probability")) == ("jv", False)


async def test_model_is_told_task_and_language(chance, monkeypatch):
    told = []
    monkeypatch.setattr(
        Engine, "tokenizer", lambda self, *task, own=Engine.tokenizer: told.append(task) or own(self, *task)
    )
    await chance.transcribe(options(task=AUDIO_TASK_TRANSLATE, language="es"), pieces(speech_file("dog")))
    await chance.transcribe(options(language="zh"), pieces(speech_file("dog")))
    assert told == [("es", True), ("zh", False)]


@pytest.mark.parametrize(("asked", "expected"), [({}, 1.0), ({"temperature": 0.5}, 0.5)])
async def test_temperature_is_raised_where_the_text_is_improbable(chance, asked, expected):
    answer = await chance.transcribe(options(**asked), pieces(speech_file("dog")))
    assert answer.segments
    assert all(segment.temperature == pytest.approx(expected) for segment in answer.segments)
    assert all(segment.avg_logprob < -1 for segment in answer.segments)


@pytest.mark.parametrize("vad", [True, False])
async def test_silence_has_no_text(chance, vad):
    answer = await chance.transcribe(options(voice_activity_detection=vad), pieces(wav(silence(100))))
    assert (text_of(answer), answer.facts.duration, answer.facts.language) == ("", 100, "en")
    assert not answer.facts.HasField("language_probability")


async def test_empty_file_is_refused(chance):
    with pytest.raises(InvalidRequestError, match="the audio is empty"):
        await chance.transcribe(options(), pieces(b""))


async def test_other_file_is_refused_by_param(chance):
    with pytest.raises(InvalidRequestError) as raised:
        await chance.transcribe(options(), pieces(b"no audio at all"))
    assert raised.value.param == "file"


async def test_large_file_is_refused(start, multilingual):
    client = await start(multilingual, compute_type="float32", max_audio_bytes=200_000)
    with pytest.raises(InvalidRequestError) as raised:
        await client.transcribe(options(), pieces(wav(silence(10))))
    assert str(raised.value) == "the file has more than 200000 bytes, which is the most; send it in parts"
    assert (raised.value.param, raised.value.code_name) == ("file", "audio_too_large")


async def test_large_upload_goes_to_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(upload, "MEMORY_BYTES", 100_000)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    data = wav(silence(10))
    async with upload.spooled(pieces(data), 10**6) as file:
        assert file._rolled
        assert file.read() == data
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("number", "error"), [(28, BackendOverloadedError), (30, BackendFailedError)])
async def test_disk_that_takes_nothing_is_told(monkeypatch, number, error):
    class Full:
        def __init__(self, **_: object) -> None: ...
        def __class_getitem__(cls, _: object) -> type:
            return cls

        def __enter__(self):
            return self

        def __exit__(self, *_: object) -> None: ...
        def write(self, _: bytes) -> None:
            raise OSError(number, "nothing goes here")

    monkeypatch.setattr(upload, "MEMORY_BYTES", 100)
    monkeypatch.setattr(upload, "SpooledTemporaryFile", Full)
    with pytest.raises(error):
        async with upload.spooled(pieces(bytes(1000)), 10**6):
            pass


async def test_several_models_are_served(start, multilingual, tmp_path):
    other = small_model(tmp_path, multilingual=False)
    client = await start(multilingual, type(other)("other", other.path), compute_type="float32")
    assert [model.id for model in await client.models()] == ["m", "other"]
    facts = (await client.transcribe(options(model="other"), pieces(speech_file("dog")))).facts
    assert (facts.model, facts.language) == ("other", "en")


async def test_many_clients_on_a_small_backend_are_answered_or_refused(start, tmp_path):
    client = await start(small_model(tmp_path, multilingual=False), compute_type="float32", batch_size=2, beam_size=1)
    asked = options(temperature=0.5)
    calls = [client.transcribe(asked, pieces(speech_file("dog"))) for _ in range(100)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, BackendOverloadedError)]
    served = [answer for answer in answers if not isinstance(answer, Exception)]
    assert len(served) + len(refused) == 100
    # 2 are worked on and 64 wait; a few more find a place that one who was answered has left.
    assert 66 <= len(served) <= 76


async def test_model_that_is_removed_stays_served(start, tmp_path):
    model = small_model(tmp_path / "model")
    client = await start(model, compute_type="float32")
    before = (await client.transcribe(options(temperature=0.5), pieces(speech_file("dog")))).facts
    shutil.rmtree(model.path)
    after = (await client.transcribe(options(temperature=0.5), pieces(speech_file("dog")))).facts
    # A model whose weights are random draws other words each time, or none.
    assert (after.model, after.duration) == (before.model, before.duration)
    assert after.duration > 5
