# SPDX-License-Identifier: Apache-2.0
"""Frames, asked for window by window."""

import numpy as np
import pytest
from faster_whisper.feature_extractor import FeatureExtractor

from cowabungaai_whisper.pieces import Held
from cowabungaai_whisper.windows import LEAD, PATIENCE, WINDOW, Frames, Moved
from support import noise, silence, spoken


def frames(samples: np.ndarray) -> Frames:
    return Frames(Held(samples), FeatureExtractor())


def window(found: Frames, begin: int, end: int) -> np.ndarray:
    return found[slice(None), slice(begin, end)]


def moved(found: Frames, begin: int) -> int:
    with pytest.raises(Moved) as raised:
        window(found, begin, begin + WINDOW)
    return raised.value.seek


def test_short_sound_is_as_faster_whisper_has_it():
    speech = spoken("dog")
    found, expected = frames(speech), FeatureExtractor()(speech)
    assert found.shape == expected.shape
    assert np.array_equal(window(found, 0, expected.shape[1] - 1), expected[:, :-1])


def test_long_sound_is_as_faster_whisper_has_it():
    samples = np.concatenate([spoken("dog"), spoken("garden")] * 8)
    found, expected = frames(samples), FeatureExtractor()(samples)
    assert found.shape[1] > 2**32
    # The floor goes by the loudest, which here is known once it was heard.
    for begin, tolerance in ((0, 3e-3), (2_500, 3e-3), (4_000, 1e-5)):
        assert np.allclose(window(found, begin, begin + WINDOW), expected[:, begin : begin + WINDOW], atol=tolerance)
    assert moved(found, 7_000) == 7_000
    assert found.shape == expected.shape
    assert np.allclose(window(found, 7_000, found.shape[1] - 1), expected[:, 7_000:-1], atol=1e-5)


def test_no_more_than_a_window_is_held():
    found = frames(noise(300))
    for begin in range(0, 24_000, 2_000):
        window(found, begin, begin + WINDOW)
        assert len(found._samples) <= (WINDOW + 10) * 160


def test_silence_is_left_out():
    found = frames(np.concatenate([spoken("dog"), silence(100), noise(60)]))
    window(found, 0, WINDOW)
    sound = 529 + 10_000
    assert moved(found, 1_000) == pytest.approx(sound - LEAD, abs=2)


def test_sound_that_is_all_silence_has_no_window():
    assert frames(silence(100)).first_window() == (10_000, None)


def test_first_window_is_that_with_sound():
    begin, found = frames(np.concatenate([silence(50), noise(5)])).first_window()
    assert (begin, found.shape) == (5_000 - LEAD, (80, 500 + LEAD))


def test_silence_at_the_end_ends_the_sound():
    found = frames(np.concatenate([noise(40), silence(100)]))
    window(found, 0, WINDOW)
    assert moved(found, 4_000) == 14_000


def test_model_that_cannot_get_on_is_moved_to_the_next_window():
    found = frames(noise(120))
    for step in range(PATIENCE + 1):
        window(found, step, step + WINDOW)
    assert moved(found, 50) == 50 + WINDOW
    window(found, 50 + WINDOW, 50 + 2 * WINDOW)
