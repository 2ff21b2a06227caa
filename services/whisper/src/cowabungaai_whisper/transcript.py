# SPDX-License-Identifier: Apache-2.0
"""A file's transcript, segment by segment; blocks, and belongs on a thread."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

from faster_whisper.tokenizer import Tokenizer  # type: ignore[import-untyped]
from faster_whisper.transcribe import Segment as FoundSegment  # type: ignore[import-untyped]
from faster_whisper.transcribe import restore_speech_timestamps
from faster_whisper.vad import SpeechTimestampsMap  # type: ignore[import-untyped]

from cowabungaai_sdk.blocking import CancelToken
from cowabungaai_sdk.v1.audio_pb2 import AudioFacts, Segment, Word
from cowabungaai_whisper.engine import Engine
from cowabungaai_whisper.pieces import Held, Piece, speech
from cowabungaai_whisper.sound import RATE, Sound
from cowabungaai_whisper.turns import CallerLeft
from cowabungaai_whisper.windows import FRAMES_PER_S, Frames, Mel, Moved, Source
from cowabungaai_whisper.wishes import Wishes, iso_code

DEFAULT_LANGUAGE = "en"
"""What English models are told, and what is said to be spoken where nothing is."""


@dataclass(slots=True)
class _Known:
    """What is known of the audio so far.

    Args:
        language: what is spoken, by Whisper's code; None until that is known.
        probability: of the language; None where it was not detected.
        tokens: how many were written.
    """

    language: str | None = None
    probability: float | None = None
    tokens: int = 0


class Transcript:
    """The work for one call.

    Args:
        engine: the model.
        wishes: what is asked for.
        helpers: threads for pieces of speech that are worked on side by side.
        cancel: says when the call is to end.
    """

    def __init__(self, engine: Engine, wishes: Wishes, helpers: Executor, cancel: CancelToken) -> None:
        self._engine = engine
        self._wishes = wishes
        self._helpers = helpers
        self._cancel = cancel
        self._lane = engine.lane(cancel)
        self._known = _Known()

    def of(self, file: BinaryIO, max_s: float) -> Iterator[Segment | AudioFacts]:
        """Transcribes a file.

        Args:
            file: at any position; stays open.
            max_s: the longest audio, in seconds.

        Yields:
            The segments as they are found, then the facts. Nothing more once the caller has left.

        Raises:
            InvalidRequestError: the file cannot be read, or is too long or too short.
        """
        try:
            with Sound(file, max_s, self._check) as sound:
                found = self._in_speech(sound) if self._wishes.vad else self._in_all(sound)
                last = Segment()
                for position, segment in enumerate(found):
                    last = _segment(segment, position, sound.seconds, last.end)
                    self._known.tokens += len(last.tokens)
                    yield last
                yield self._facts(sound.seconds)
        except CallerLeft:
            return

    def _check(self) -> None:
        if self._cancel.cancelled:
            raise CallerLeft

    def _facts(self, seconds: float) -> AudioFacts:
        return AudioFacts(
            language=iso_code(self._known.language or self._wishes.language or DEFAULT_LANGUAGE),
            language_probability=self._known.probability,
            duration=seconds,
            output_tokens=self._known.tokens,
        )

    def _in_all(self, sound: Source) -> Iterator[FoundSegment]:
        """Window after window, each knowing the text of those before."""
        frames = Frames(sound, self._engine.extractor)
        seek, window = frames.first_window()
        if window is None:
            return
        tokenizer = self._tokenizer(window)
        options = self._engine.options(self._wishes, tokenizer)
        so_far = _SoFar(options.initial_prompt or [], options.prompt_reset_on_temperature)
        while True:
            options = replace(options, initial_prompt=so_far.tokens(), clip_timestamps=[seek / FRAMES_PER_S])
            try:
                for segment in self._lane.generate_segments(frames, tokenizer, options, log_progress=False):
                    so_far.add(segment)
                    yield segment
            except Moved as moved:
                seek = moved.seek
            else:
                return

    def _in_speech(self, sound: Sound) -> Iterator[FoundSegment]:
        """Pieces of speech, several at once, in their order; none knows the text of another."""
        running: deque[Future[list[FoundSegment]]] = deque()
        try:
            for position, piece in enumerate(speech(sound)):
                self._check()
                if not position:
                    # Alone, since it tells the language.
                    yield from self._in_piece(piece)
                    continue
                running.append(self._helpers.submit(self._in_piece, piece))
                if len(running) == self._engine.batch_size:
                    yield from running.popleft().result()
            while running:
                yield from running.popleft().result()
        finally:
            for future in running:
                future.cancel()

    def _in_piece(self, piece: Piece) -> list[FoundSegment]:
        self._check()
        times = SpeechTimestampsMap(list(piece.chunks), RATE)
        found = list(self._in_all(Held(piece.speech)))
        for segment in found:
            segment.seek = round(times.get_original_time(segment.seek / FRAMES_PER_S) * FRAMES_PER_S)
        return list(restore_speech_timestamps(found, list(piece.chunks), RATE))

    def _tokenizer(self, window: Mel) -> Tokenizer:
        """The tokenizer for the language that is given, or spoken in the first window with sound."""
        known = self._known
        if known.language is None:
            known.language = self._wishes.language or DEFAULT_LANGUAGE
            if self._wishes.language is None and self._lane.model.is_multilingual:
                known.language, known.probability, _ = self._lane.detect_language(features=window)
        return self._engine.tokenizer(known.language, self._wishes.translate)


class _SoFar:
    """The tokens that the next window is to know: those since the last one that was decoded at a high temperature.

    Args:
        prompt: what came before the audio.
        reset_above: the temperature above which a window's text is not to be trusted.
    """

    def __init__(self, prompt: Sequence[int], reset_above: float) -> None:
        self._tokens = list(prompt)
        self._reset_above = reset_above
        self._last: FoundSegment | None = None

    def add(self, segment: FoundSegment) -> None:
        if self._last is not None and self._last.seek != segment.seek:
            self._forget()
        self._tokens.extend(segment.tokens)
        self._last = segment

    def tokens(self) -> list[int]:
        self._forget()
        return list(self._tokens)

    def _forget(self) -> None:
        if self._last is not None and self._last.temperature > self._reset_above:
            self._tokens.clear()
        self._last = None


def _segment(found: FoundSegment, position: int, seconds: float, earliest: float) -> Segment:
    """A segment as the contract has it: times grow, and none lies outside of the audio, whatever the model says."""
    start = min(max(found.start, earliest), seconds)
    return Segment(
        id=position,
        seek=found.seek,
        start=start,
        end=min(max(found.end, start), seconds),
        text=found.text,
        tokens=found.tokens,
        temperature=found.temperature,
        avg_logprob=found.avg_logprob,
        compression_ratio=found.compression_ratio,
        no_speech_prob=found.no_speech_prob,
        words=_words(found.words or [], start, seconds),
    )


def _words(found: Sequence[Any], start: float, seconds: float) -> list[Word]:
    words: list[Word] = []
    for word in found:
        start = min(max(float(word.start), start), seconds)
        end = min(max(float(word.end), start), seconds)
        words.append(Word(word=word.word, start=start, end=end, probability=float(word.probability)))
    return words
