# SPDX-License-Identifier: Apache-2.0
"""An answer's text out of its tokens' bytes: whole characters only, and none of a stop sequence."""

import codecs
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class Released(Generic[T]):
    """What of an answer may be sent.

    Args:
        text: text to append; may be empty.
        marks: what was given with the tokens of which the text is made.
        stopped: whether a stop sequence was found, so that nothing may follow.
    """

    text: str = ""
    marks: list[T] = field(default_factory=list)
    stopped: bool = False


class TextStream(Generic[T]):
    """Turns tokens' bytes into text piece by piece.

    A character comes once all of its bytes are there. Text that may be the beginning of a stop sequence is held back
    until it is known that it is none.

    Args:
        stops: the stop sequences, none of them empty.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._longest = max(map(len, stops), default=0)
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._held = ""
        # The marks that were not released, with where their tokens begin and end in `_held`; a token of which some text
        # was released begins before it.
        self._marks: list[tuple[int, int, T]] = []

    def feed(self, piece: bytes, mark: T | None = None, *, stops: bool = True) -> Released[T]:
        """Adds a token.

        Args:
            piece: its bytes.
            mark: what is to be released together with its text.
            stops: whether stop sequences that end in it count.
        """
        before = len(self._held)
        self._held += self._decode(piece)
        if mark is not None:
            self._marks.append((before, len(self._held), mark))
        if not self._stops:
            return self._release(len(self._held))
        if not stops:
            # What is released now can be no part of a stop sequence any more.
            return self._release(len(self._held))
        cut = self._find(before)
        if cut is not None:
            found = self._release(cut, cut_off=True)
            found.stopped = True
            return found
        return self._release(len(self._held) - self._partial())

    def flush(self) -> Released[T]:
        """Releases what was held back, now that the answer has ended; an incomplete character is dropped."""
        found = self._release(len(self._held))
        found.marks += [mark for _, _, mark in self._marks]
        self._marks.clear()
        return found

    def _find(self, before: int) -> int | None:
        """Where the earliest stop sequence begins; one that was not there before the last token."""
        places = [self._held.find(stop, max(0, before - len(stop) + 1)) for stop in self._stops]
        return min((place for place in places if place >= 0), default=None)

    def _partial(self) -> int:
        """How much of the end may be the beginning of a stop sequence."""
        for length in range(min(len(self._held), self._longest - 1), 0, -1):
            if any(stop.startswith(self._held[-length:]) for stop in self._stops):
                return length
        return 0

    def _release(self, length: int, cut_off: bool = False) -> Released[T]:
        text, self._held = self._held[:length], self._held[length:]
        if cut_off:
            self._held = ""
            # A token of which some text remains is part of the answer; the later ones are not.
            marks = [mark for begin, _, mark in self._marks if begin < length]
            self._marks.clear()
            return Released(text, marks)
        count = sum(end <= length for _, end, _ in self._marks)
        marks = [mark for _, _, mark in self._marks[:count]]
        self._marks = [(begin - length, end - length, mark) for begin, end, mark in self._marks[count:]]
        return Released(text, marks)
