# SPDX-License-Identifier: Apache-2.0
"""A sound as log-mel frames, of which no more are ever held than the window that is listened to.

`WhisperModel.generate_segments` takes the frames of a whole sound as an array, of which it looks at the shape, once,
and at one window after the other, never going back. Frames is such an array for it, with two differences: its length is
not known until the sound was decoded to its end, and stretches of silence are left out, since models hear words in them
that nobody said. Both are told by Moved, after which generate_segments is to be called again for the rest.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from faster_whisper.feature_extractor import FeatureExtractor  # type: ignore[import-untyped]
from numpy.typing import NDArray

from cowabungaai_whisper.sound import RATE, Samples

HOP = 160
"""Samples in a frame."""
FRAMES_PER_S = RATE // HOP
WINDOW = 3000
"""Frames that a model listens to at once: 30 seconds."""
MARGIN = 2
"""Frames at either side of a window that its first and last frames reach into."""
SILENCE = 2.0**-11
"""What stays below this, -66 dB of full scale, is silence: a recording that is switched off, or next to it."""
LEAD = 20
"""Frames of silence that are kept before sound, which may begin softly."""
RANGE = 2.0
"""What Whisper hears below the loudest: 80 dB, in its unit of 40."""
ENDLESS = 1 << 40
STEP = 100
"""Frames that a window should bring at least: one second."""
PATIENCE = 10
"""Windows in a row that may bring less; then the model is caught in what it hears, and the window is left."""

Mel = NDArray[np.float32]


class Source(Protocol):
    """Where samples come from."""

    @property
    def samples(self) -> int:
        """How many there are so far."""

    def read(self, count: int) -> Samples:
        """The next samples; fewer than asked for come at the end only."""


class Moved(Exception):
    """The window that was asked for is not to be listened to.

    Args:
        seek: the frame to go on from.
    """

    def __init__(self, seek: int) -> None:
        super().__init__(seek)
        self.seek = seek


class Frames:
    """A sound's frames, to be asked for window by window, forwards.

    Args:
        sound: where they come from.
        extractor: makes frames of samples.
    """

    def __init__(self, sound: Source, extractor: FeatureExtractor) -> None:
        self._sound = sound
        self._extractor: Callable[[Samples], Mel] = extractor
        self._bands = len(extractor.mel_filters)
        self._first = 0  # the frame with which the samples begin
        self._samples: Samples = np.zeros(0, np.float32)
        self._ended = False
        self._length_told = False
        self._loudest = -np.inf
        self._made: tuple[int, int, Mel] | None = None
        self._last = -STEP
        self._short_steps = 0
        self._hold(0, WINDOW + MARGIN)

    @property
    def shape(self) -> tuple[int, int]:
        """Bands and frames, with one frame more than there are, as in faster-whisper's own."""
        self._length_told = self._ended
        return self._bands, (self._sound.samples // HOP if self._ended else ENDLESS) + 1

    def __getitem__(self, key: tuple[slice, slice]) -> Mel:
        """One window.

        Args:
            key: all bands, and the frames.

        Raises:
            Moved: it is silent, reaches over an end that was not known when the shape was asked for, or is one of many
                that were asked for a little later each.
        """
        begin, end = int(key[1].start), int(key[1].stop)
        self._hold(begin, end + MARGIN)
        if self._ended and not self._length_told:
            raise Moved(begin)
        if self._is_silent(begin, end):
            raise Moved(self._next_sound(begin))
        if self._is_stuck(begin):
            raise Moved(begin + WINDOW)
        return self._mel(begin, end)

    def first_window(self) -> tuple[int, Mel | None]:
        """The first window with sound, and its first frame; None where all is silence. To be asked for first."""
        begin = self._next_sound(0)
        self._hold(begin, begin + WINDOW + MARGIN)
        end = min(begin + WINDOW, self._sound.samples // HOP) if self._ended else begin + WINDOW
        return begin, self._mel(begin, end) if end > begin else None

    def _hold(self, begin: int, end: int) -> None:
        """Sees to it that the samples of the frames, and some before them, are there, as far as the sound goes."""
        missing = (end - self._first) * HOP - len(self._samples)
        if missing > 0 and not self._ended:
            new = self._sound.read(missing)
            self._ended = len(new) < missing
            self._samples = np.concatenate((self._samples, new))
        keep = max(self._first, begin - MARGIN)
        self._samples = self._samples[(keep - self._first) * HOP :].copy()
        self._first = keep

    def _part(self, begin: int, end: int) -> Samples:
        return self._samples[max(0, begin - self._first) * HOP : (end - self._first) * HOP]

    def _is_silent(self, begin: int, end: int) -> bool:
        return not np.any(np.abs(self._part(begin, end)) >= SILENCE)

    def _is_stuck(self, begin: int) -> bool:
        self._short_steps = self._short_steps + 1 if begin - self._last < STEP else 0
        self._last = begin
        return self._short_steps > PATIENCE

    def _next_sound(self, begin: int) -> int:
        """The frame where sound begins, or that after the last."""
        while True:
            self._hold(begin, begin + WINDOW)
            part = self._part(begin, begin + WINDOW)
            loud = np.flatnonzero(np.abs(part) >= SILENCE)
            if len(loud):
                return max(begin, begin + int(loud[0]) // HOP - LEAD)
            if self._ended:
                return max(begin, self._sound.samples // HOP)
            begin += WINDOW

    def _mel(self, begin: int, end: int) -> Mel:
        # The first window is asked for twice: its language is found out before its text.
        if self._made is None or self._made[:2] != (begin, end):
            before = min(MARGIN, begin - self._first)
            mel = self._extractor(self._part(begin - before, end + MARGIN))[:, before : before + end - begin]
            # The extractor knows the loudest of this part only; faster-whisper's goes by that of the whole sound.
            self._loudest = max(self._loudest, float(mel.max(initial=-np.inf)))
            self._made = (begin, end, np.maximum(mel, np.float32(self._loudest - RANGE)))
        return self._made[2]
