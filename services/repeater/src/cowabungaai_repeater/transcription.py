# SPDX-License-Identifier: Apache-2.0
"""Transcripts: the facts of the audio, spoken in segments of five seconds."""

import hashlib
import io
import math
import wave
import zlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

from cowabungaai_repeater.control import Control, parse
from cowabungaai_sdk.v1.audio_pb2 import AUDIO_TASK_TRANSLATE, AudioFacts, Segment, TranscribeOptions, Word

SEGMENT_S = 5.0
WINDOW_S = 30.0
"""Speech models look at windows of this length; a segment says in which one it was found."""
HEADER_BYTES = 65536
"""Where a WAV file must have said its format, in bytes; the rest is hashed, and not kept."""


@dataclass(frozen=True, slots=True)
class Sound:
    """What is known of a file.

    Args:
        size: in bytes.
        digest: its SHA-256, the first 8 digits.
        seconds: its length; 0 where it is not a WAV file of PCM samples.
        rate: samples a second.
        channels: how many.
    """

    size: int
    digest: str
    seconds: float = 0.0
    rate: int = 0
    channels: int = 0

    def __str__(self) -> str:
        file = f"{self.size} bytes, sha256 {self.digest}"
        if not self.rate:
            return file
        channels = "1 channel" if self.channels == 1 else f"{self.channels} channels"
        return f"{round(self.seconds, 3):g} seconds, {self.rate} Hz, {channels}, {file}"


async def transcribe(
    options: TranscribeOptions, audio: AsyncIterator[bytes], defaults: Control
) -> AsyncGenerator[Segment | AudioFacts, None]:
    """States the audio's facts in the first segment, and in each further one where it lies.

    Args:
        options: what to do; its prompt may have controls.
        audio: the file's bytes.
        defaults: what holds where the prompt has no control.

    Raises:
        InvalidRequestError: a control is wrong.
    """
    _, control = parse(options.prompt, defaults, "prompt")
    sound = await read(audio)
    count = max(1, math.ceil(sound.seconds / SEGMENT_S))
    for index in range(count):
        await control.pace(index)
        yield _segment(options, sound, index)
    await control.fail_at_end(count)
    yield AudioFacts(
        model=options.model,
        language=options.language or "en",
        language_probability=None if options.HasField("language") else 1.0,
        duration=sound.seconds,
    )


async def read(audio: AsyncIterator[bytes]) -> Sound:
    """Reads a file once, keeping no more than its beginning.

    Args:
        audio: the file's bytes.
    """
    digest, size, head = hashlib.sha256(), 0, bytearray()
    async for piece in audio:
        digest.update(piece)
        size += len(piece)
        head += piece[: HEADER_BYTES - len(head)]
    file = Sound(size, digest.hexdigest()[:8])
    beginning = io.BytesIO(head)
    try:
        with wave.open(beginning) as found:
            offset = beginning.tell()
            frame = found.getnchannels() * found.getsampwidth()
            # A file that was written as a stream, or cut, has another length than it says.
            frames = min(found.getnframes(), (size - offset) // frame)
            rate, channels = found.getframerate(), found.getnchannels()
    except (wave.Error, EOFError):
        return file
    return Sound(file.size, file.digest, frames / rate, rate, channels)


def _segment(options: TranscribeOptions, sound: Sound, index: int) -> Segment:
    start, end = index * SEGMENT_S, min(sound.seconds, (index + 1) * SEGMENT_S)
    text = f" segment {index + 1} from {start:g} to {round(end, 3):g} seconds" if index else f" {sound}"
    if options.task == AUDIO_TASK_TRANSLATE and not index:
        text = f" translated:{text}"
    data = text.encode()
    return Segment(
        id=index,
        seek=int(start // WINDOW_S * WINDOW_S * 100),
        start=start,
        end=end,
        text=text,
        tokens=[zlib.crc32(word.encode()) & 0xFFFF for word in text.split()],
        temperature=options.temperature,
        avg_logprob=-0.25,
        compression_ratio=len(data) / len(zlib.compress(data)),
        no_speech_prob=0.01,
        words=_words(text, start, end) if options.word_timestamps else [],
    )


def _words(text: str, start: float, end: float) -> list[Word]:
    words = text.split()
    step = (end - start) / len(words)
    return [
        Word(word=f" {word}", start=start + index * step, end=start + (index + 1) * step, probability=0.99)
        for index, word in enumerate(words)
    ]
