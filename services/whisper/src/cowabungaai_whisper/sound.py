# SPDX-License-Identifier: Apache-2.0
"""Any file's sound as samples, decoded as far as they are asked for, by FFmpeg's libraries."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, BinaryIO, Self

import av
import numpy as np
from av.audio.fifo import AudioFifo
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.container import InputContainer
from numpy.typing import NDArray

from cowabungaai_sdk.errors import InvalidRequestError

Samples = NDArray[np.float32]

RATE = 16_000
"""Samples a second, as Whisper models listen."""
MIN_S = 0.1
"""The shortest audio, in seconds, as OpenAI's API has it."""
GROUP = 65_536
"""Samples that are converted together: one call for each frame would take longer than decoding."""

# Playlists and the like name further files and addresses: FFmpeg may open none of them.
_OPTIONS = {"protocol_whitelist": "none"}


class Sound:
    """A file's sound, mono, at RATE; read once, from its beginning.

    What cannot be decoded in the midst of a file is left out; where a file is cut, its sound ends.

    Args:
        file: the file; stays open.
        max_s: the longest audio, in seconds.
        check: called as often as decoding allows; what it raises ends the work.

    Raises:
        InvalidRequestError: it is no audio, or is too short or too long.
    """

    def __init__(self, file: BinaryIO, max_s: float, check: Callable[[], None] = lambda: None) -> None:
        self._file = file
        self._max_s = max_s
        self._check = check
        self._container = self._open()
        try:
            if not self._container.streams.audio:
                raise InvalidRequestError(f"the file has no sound: it is {self._found()}", "file")
            if self._said_s() is None and self._told_s() > max_s:
                raise self._too_long()
            self._pieces = self._decoded()
            self._rest = np.zeros(0, np.float32)
            self.samples = 0
            self._fill(int(MIN_S * RATE))
            if self.seconds < MIN_S:
                raise self._too_short()
        except BaseException:
            self._container.close()
            raise

    @property
    def seconds(self) -> float:
        """How long the sound is that was decoded so far, what read has not yet returned included."""
        return self.samples / RATE

    def read(self, count: int) -> Samples:
        """The next samples, -1 to 1.

        Args:
            count: how many; fewer come at the end only.

        Raises:
            InvalidRequestError: the sound is too long.
        """
        self._fill(count)
        taken, self._rest = self._rest[:count], self._rest[count:].copy()
        return taken

    def close(self) -> None:
        """Frees the decoder."""
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self) -> InputContainer:
        self._file.seek(0)
        try:
            return av.open(self._file, mode="r", metadata_errors="ignore", options=_OPTIONS)
        except (av.error.FFmpegError, OSError) as error:
            self._file.seek(0)
            beginning = self._file.read(8)
            message = (
                "the file is in no format of audio or video that is known, or is cut where its format must say what "
                f"it holds; it begins with the bytes {beginning.hex(' ')}"
            )
            raise InvalidRequestError(message, "file") from error

    def _found(self) -> str:
        kinds = ", ".join(sorted({stream.type for stream in self._container.streams})) or "no stream"
        return f"{self._container.format.name} with {kinds}"

    def _said_s(self) -> float | None:
        """The length that the file itself says; None where it says none, or one that cannot be trusted."""
        said = self._container.duration
        if said is None or said <= 0 or said / av.time_base > self._max_s:
            return None
        return float(said / av.time_base)

    def _told_s(self) -> float:
        """The length by the packets' own, without decoding; counts no further than needed. Opens the file anew."""
        stream = self._container.streams.audio[0]
        length = 0.0
        with suppress(av.error.FFmpegError):
            for packet in self._container.demux(stream):
                self._check()
                if packet.duration and stream.time_base:
                    length += float(packet.duration * stream.time_base)
                if length > self._max_s:
                    break
        self._container.close()
        self._container = self._open()
        return length

    def _too_long(self) -> InvalidRequestError:
        message = f"the audio is longer than {self._max_s:g} seconds, which is the most; send it in parts"
        return InvalidRequestError(message, "file", "audio_too_long")

    def _too_short(self) -> InvalidRequestError:
        if not self.samples:
            return InvalidRequestError(f"nothing of the file can be heard: it is {self._found()}", "file")
        message = f"the audio is {self.seconds:.3f} seconds long; expected at least {MIN_S:g}"
        return InvalidRequestError(message, "file", "audio_too_short")

    def _fill(self, count: int) -> None:
        """Decodes until there are so many samples, or the sound ends."""
        parts, held = [self._rest], len(self._rest)
        while held < count and (piece := next(self._pieces, None)) is not None:
            self.samples += len(piece)
            if self.seconds > self._max_s:
                raise self._too_long()
            parts.append(piece)
            held += len(piece)
        self._rest = np.concatenate(parts)

    def _decoded(self) -> Iterator[Samples]:
        converter, fifo = _Converter(), AudioFifo()
        for frame in self._frames():
            self._check()
            frame.pts = None  # what is missing in the midst is not filled up
            try:
                fifo.write(frame)
            except ValueError:
                # The format changed in the midst: what came before is converted, and a converter for the new one made.
                yield from converter.end(fifo)
                converter, fifo = _Converter(), AudioFifo()
                fifo.write(frame)
            if fifo.samples >= GROUP:
                yield from converter.convert(fifo)
        yield from converter.end(fifo)

    def _frames(self) -> Iterator[AudioFrame]:
        packets = self._container.demux(self._container.streams.audio[0])
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError:
                return  # the file is cut, or damaged from here on
            if packet is None:
                return
            with suppress(av.error.FFmpegError):  # a damaged packet
                yield from packet.decode()


class _Converter:
    """Frames of one format to samples."""

    def __init__(self) -> None:
        self._resampler = AudioResampler(format="s16", layout="mono", rate=RATE)

    def convert(self, fifo: AudioFifo) -> Iterator[Samples]:
        if frame := fifo.read():
            yield from self._samples(frame)

    def end(self, fifo: AudioFifo) -> Iterator[Samples]:
        if fifo.samples:
            yield from self.convert(fifo)
            yield from self._samples(None)

    def _samples(self, frame: AudioFrame | None) -> Iterator[Samples]:
        for made in self._resampler.resample(frame):
            whole: NDArray[Any] = made.to_ndarray()[0]
            yield whole.astype(np.float32) / np.float32(32_768)
