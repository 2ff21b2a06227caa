# SPDX-License-Identifier: Apache-2.0
"""Speech, found in a sound and cut into pieces that a model can listen to at once."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from faster_whisper.vad import VadOptions, get_speech_timestamps  # type: ignore[import-untyped]

from cowabungaai_whisper.sound import RATE, Samples, Sound

BLOCK_S = 60
"""How much is looked at together, in seconds: twice the longest stretch of speech, so that a whole one is in it."""
PIECE_S = 30
TOUCH_S = 1.0
"""Speech that ends so near to a block's end may go on in the next."""

_OPTIONS = VadOptions(max_speech_duration_s=PIECE_S, min_silence_duration_ms=160)


class Held:
    """Samples that are there already, to be read as a sound's are.

    Args:
        held: the samples.
    """

    def __init__(self, held: Samples) -> None:
        self._held = held
        self.samples = len(held)

    def read(self, count: int) -> Samples:
        """The next samples; fewer than asked for come at the end only."""
        taken, self._held = self._held[:count], self._held[count:]
        return taken


@dataclass(frozen=True, slots=True)
class Piece:
    """Stretches of speech that follow each other, without what lies between them.

    Args:
        speech: its samples, at most PIECE_S.
        chunks: where in the sound each stretch begins and ends, in samples, as faster-whisper has it.
    """

    speech: Samples
    chunks: tuple[dict[str, int], ...]


def speech(sound: Sound) -> Iterator[Piece]:
    """Finds the speech in a sound, block by block.

    Args:
        sound: read to its end.

    Yields:
        The pieces, in order.
    """
    begin = 0
    block: Samples = np.zeros(0, np.float32)
    ended = False
    while not ended:
        wanted = BLOCK_S * RATE - len(block)
        new = sound.read(wanted)
        ended = len(new) < wanted
        block = np.concatenate((block, new))
        if not len(block):
            return
        chunks = get_speech_timestamps(block, _OPTIONS)
        end = len(block)
        if not ended:
            end = _undecided(chunks, len(block))
            chunks = [chunk for chunk in chunks if chunk["end"] <= end]
        yield from _gathered(block, begin, chunks)
        block = block[end:].copy()
        begin += end


def _undecided(chunks: list[dict[str, int]], length: int) -> int:
    """Where the next block is to begin: before speech that may go on, or that may begin."""
    near_end = length - int(TOUCH_S * RATE)
    if chunks and chunks[-1]["end"] > near_end and chunks[-1]["start"] > 0:
        return min(chunks[-1]["start"], length)
    return max(near_end, chunks[-1]["end"]) if chunks else near_end


def _gathered(block: Samples, begin: int, chunks: list[dict[str, int]]) -> Iterator[Piece]:
    held: list[dict[str, int]] = []
    for chunk in chunks:
        if held and sum(_length(each) for each in [*held, chunk]) > PIECE_S * RATE:
            yield _piece(block, begin, held)
            held = []
        held.append(chunk)
    if held:
        yield _piece(block, begin, held)


def _length(chunk: dict[str, int]) -> int:
    return chunk["end"] - chunk["start"]


def _piece(block: Samples, begin: int, chunks: list[dict[str, int]]) -> Piece:
    samples = np.concatenate([block[chunk["start"] : chunk["end"]] for chunk in chunks])
    return Piece(samples, tuple({name: begin + at for name, at in chunk.items()} for chunk in chunks))
