# SPDX-License-Identifier: Apache-2.0
"""Files of all kinds as samples."""

import io

import av
import numpy as np
import pytest

from cowabungaai_sdk.errors import InvalidRequestError
from cowabungaai_whisper.sound import RATE, Sound
from support import encoded, silence, speech_file, spoken, wav, wav_head

FORMATS = [
    ("wav", "pcm_s16le", RATE),
    ("wav", "pcm_f32le", 44_100),
    ("mp3", "libmp3lame", RATE),
    ("ogg", "libopus", 48_000),
    ("flac", "flac", RATE),
    ("ipod", "aac", 44_100),
    ("mp4", "aac", RATE),
    ("webm", "libopus", 48_000),
    ("matroska", "pcm_s16le", RATE),
    ("aiff", "pcm_s16be", RATE),
    ("w64", "pcm_s16le", RATE),
]


def heard(data: bytes, max_s: float = 60) -> np.ndarray:
    with Sound(io.BytesIO(data), max_s) as sound:
        samples = sound.read(10**9)
        assert sound.samples == len(samples)
        return samples


def refusal(data: bytes, max_s: float = 60) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as raised:
        heard(data, max_s)
    assert raised.value.param == "file"
    return raised.value


@pytest.mark.parametrize(("container", "codec", "rate"), FORMATS)
def test_formats_sound_alike(container, codec, rate):
    speech = spoken("dog")
    found = heard(encoded(speech, container, codec, rate))
    assert len(found) == pytest.approx(len(speech), abs=RATE // 10)
    # Loudness over tenths of a second goes the same way.
    size = RATE // 10
    count = min(len(found), len(speech)) // size
    loud, expected = (np.abs(x[: count * size]).reshape(count, size).mean(axis=1) for x in (found, speech))
    assert np.corrcoef(loud, expected)[0, 1] > 0.9


def test_sound_of_a_video_is_read():
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as output:
        video, audio = output.add_stream("mpeg4", rate=5), output.add_stream("pcm_s16le", rate=RATE, layout="mono")
        video.width = video.height = 32
        frame = av.AudioFrame.from_ndarray(np.full((1, RATE), 9_000, np.int16), "s16", "mono")
        frame.sample_rate = RATE
        for _ in range(5):
            output.mux(video.encode(av.VideoFrame(32, 32, "yuv420p")))
        output.mux(video.encode(None))
        output.mux(audio.encode(frame))
        output.mux(audio.encode(None))
    found = heard(file.getvalue())
    assert len(found) == RATE
    assert found.mean() == pytest.approx(9_000 / 32_768, abs=1e-3)


def test_parts_are_the_whole():
    whole = heard(speech_file("dog"))
    with Sound(io.BytesIO(speech_file("dog")), 60) as sound:
        parts = []
        while len(part := sound.read(10_000)):
            parts.append(part)
    assert all(len(part) == 10_000 for part in parts[:-1])
    assert np.array_equal(np.concatenate(parts), whole)


def test_format_may_change_in_the_midst():
    speech = spoken("dog")
    low, high = (encoded(speech, "mp3", "libmp3lame", rate, write_xing="0") for rate in (RATE, 44_100))
    assert len(heard(low + high)) == pytest.approx(2 * len(speech), rel=0.05)


@pytest.mark.parametrize(("container", "codec", "rate"), FORMATS[:5] + FORMATS[7:])
def test_cut_file_is_heard_as_far_as_it_goes(container, codec, rate):
    speech = spoken("dog")
    data = encoded(speech, container, codec, rate)
    assert 0.3 * len(speech) < len(heard(data[: len(data) // 2])) < 0.8 * len(speech)


def test_cut_file_without_its_beginning_is_refused():
    data = encoded(spoken("dog"), "mp4", "aac")
    assert "is cut where its format must say what it holds" in str(refusal(data[: len(data) // 2]))


def test_file_that_lies_of_its_length_is_heard():
    samples = (spoken("dog") * 32_767).astype("<i2").tobytes()
    assert len(heard(wav_head(2**32 - 37) + samples)) == len(samples) // 2
    assert len(heard(wav_head(2**31) + samples)) == len(samples) // 2


@pytest.mark.parametrize("data", [b"A letter, not a recording.\n" * 99, b"PK\3\4" + bytes(999), bytes(99_999), b"RIFF"])
def test_other_files_are_refused(data):
    assert f"it begins with the bytes {data[:8].hex(' ')}" in str(refusal(data))


def test_picture_is_refused():
    file = io.BytesIO()
    with av.open(file, "w", format="image2pipe") as output:
        stream = output.add_stream("png", rate=1)
        stream.width = stream.height = 16
        stream.pix_fmt = "rgb24"
        output.mux(stream.encode(av.VideoFrame(16, 16, "rgb24")))
        output.mux(stream.encode(None))
    assert "the file has no sound: it is png_pipe with video" in str(refusal(file.getvalue()))


def test_no_other_file_is_opened(tmp_path):
    other = tmp_path / "other.wav"
    other.write_bytes(wav(spoken("dog")))
    refusal(f"ffconcat version 1.0\nfile '{other}'\n".encode())
    refusal(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{other}\n#EXT-X-ENDLIST\n".encode())


def test_short_audio_is_refused():
    assert "nothing of the file can be heard: it is wav with audio" in str(refusal(wav(silence(0))))
    error = refusal(wav(silence(0.05)))
    assert (str(error), error.code_name) == (
        "the audio is 0.050 seconds long; expected at least 0.1",
        "audio_too_short",
    )
    assert len(heard(wav(silence(0.1)))) == RATE // 10


@pytest.mark.parametrize(("container", "codec", "options"), [("flac", "flac", {}), ("webm", "libopus", {"live": "1"})])
def test_long_audio_is_refused_before_it_is_decoded(container, codec, options):
    # As FLAC an hour of nothing is 200 kB; the other does not say how long it is.
    data = encoded(silence(300), container, codec, 48_000, **options)
    with pytest.raises(InvalidRequestError) as raised:
        Sound(io.BytesIO(data), 120)
    assert str(raised.value) == "the audio is longer than 120 seconds, which is the most; send it in parts"
    assert (raised.value.param, raised.value.code_name) == ("file", "audio_too_long")


def test_audio_that_turns_out_long_is_refused():
    # A stream of MP3 does not say how long it is.
    data = encoded(silence(1), "mp3", "libmp3lame", write_xing="0") * 20
    assert refusal(data, max_s=10).code_name == "audio_too_long"


def test_check_ends_the_work():
    class LeftError(Exception):
        pass

    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls > 100:
            raise LeftError

    with Sound(io.BytesIO(wav(silence(60))), 60, check) as sound, pytest.raises(LeftError):
        sound.read(60 * RATE)
