# SPDX-License-Identifier: Apache-2.0
"""Speech and what is none."""

import io
import itertools

import numpy as np

from cowabungaai_whisper.pieces import PIECE_S, speech
from cowabungaai_whisper.sound import RATE, Sound
from support import noise, silence, spoken, wav


def found(samples: np.ndarray) -> list:
    with Sound(io.BytesIO(wav(samples)), 3600) as sound:
        return list(speech(sound))


def stretches(samples: np.ndarray) -> list[tuple[float, float]]:
    return [(chunk["start"] / RATE, chunk["end"] / RATE) for piece in found(samples) for chunk in piece.chunks]


def test_silence_and_noise_are_no_speech():
    assert found(silence(100)) == []
    assert found(noise(100)) == []


def test_speech_is_found_where_it_is():
    ((start, end),) = [
        (s[0][0], s[-1][1]) for s in [stretches(np.concatenate([silence(10), spoken("dog"), silence(10)]))]
    ]
    assert 9 < start < 11
    assert 14 < end < 16.3


def test_pieces_are_of_thirty_seconds_at_most_and_lose_nothing():
    one = np.concatenate([spoken("dog"), silence(1), spoken("letter"), silence(70), spoken("garden"), silence(2)])
    samples = np.concatenate([one] * 6)
    pieces = found(samples)
    assert all(0 < len(piece.speech) <= PIECE_S * RATE for piece in pieces)
    for piece in pieces:
        assert len(piece.speech) == sum(chunk["end"] - chunk["start"] for chunk in piece.chunks)
    chunks = [chunk for piece in pieces for chunk in piece.chunks]
    assert all(a["end"] <= b["start"] for a, b in itertools.pairwise(chunks))
    # All that is loud lies in a stretch.
    covered = np.zeros(len(samples), bool)
    for chunk in chunks:
        covered[chunk["start"] : chunk["end"]] = True
    loud = np.abs(samples) > 0.05
    assert (loud & ~covered).sum() / loud.sum() < 0.01


def test_speech_without_a_pause_is_cut():
    pieces = found(np.concatenate([spoken("dog")] * 30))
    assert len(pieces) >= 5
    assert all(len(piece.speech) <= PIECE_S * RATE for piece in pieces)
    assert sum(len(piece.speech) for piece in pieces) > 0.95 * 30 * len(spoken("dog"))
