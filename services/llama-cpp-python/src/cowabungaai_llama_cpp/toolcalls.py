# SPDX-License-Identifier: Apache-2.0
"""Function calls as models write them: recognised while the answer comes, or enforced by a grammar."""

import re
import secrets
import string
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

MAX_HEAD = 2000
"""How many characters may come before a call's arguments; more are no call."""
MAX_CALLS = 16
"""The most calls of one answer."""


@dataclass(frozen=True, slots=True)
class CallFormat:
    """How a family of models writes calls.

    Args:
        begin: what comes before a call; empty where calls begin with the answer itself.
        end: what comes after one.
        arguments: the key of the arguments.
        listed: whether calls are always in a JSON array.
        id_length: how long the ids are that its templates accept.
    """

    begin: str = ""
    end: str = ""
    arguments: str = "arguments"
    listed: bool = False
    id_length: int = 24


JSON = CallFormat()
HERMES = CallFormat("<tool_call>", "</tool_call>")
MISTRAL = CallFormat("[TOOL_CALLS]", listed=True, id_length=9)
LLAMA3 = CallFormat(arguments="parameters")


def format_of(template: str) -> CallFormat:
    """The format that a chat template teaches.

    Args:
        template: its source.
    """
    if "tools" not in template:
        return JSON
    if HERMES.begin in template:
        return HERMES
    if MISTRAL.begin in template:
        return MISTRAL
    if "<|python_tag|>" in template or '"parameters"' in template:
        return LLAMA3
    return JSON


def new_id(form: CallFormat) -> str:
    """A call's id.

    Args:
        form: the model's format.
    """
    if form.id_length < 24:
        alphabet = string.ascii_letters + string.digits
        return "".join(secrets.choice(alphabet) for _ in range(form.id_length))
    return f"call_{secrets.token_hex(form.id_length // 2)}"


@dataclass(frozen=True, slots=True)
class CallBegins:
    """A call's name is known.

    Args:
        index: which of the answer's calls.
        name: the function.
    """

    index: int
    name: str


@dataclass(frozen=True, slots=True)
class CallGoesOn:
    """Text to append to a call's arguments.

    Args:
        index: which of the answer's calls.
        arguments: the text.
    """

    index: int
    arguments: str


Found = str | CallBegins | CallGoesOn

_HEAD = re.compile(
    r'\s*(?:\[\s*)?\{\s*"name"\s*:\s*"((?:[^"\\]|\\.)*)"\s*,\s*"(?:arguments|parameters)"\s*:\s*(?=\{)', re.DOTALL
)
_OPENING = re.compile(r"\s*(?:```(?:json|tool_call|tool_code)?\s*|<\|python_tag\|>\s*)?")
_BETWEEN = ("<tool_call>", "</tool_call>", "[TOOL_CALLS]", "<|python_tag|>", "```", "}", "]", "[", ",", ";")
_OPENINGS = ("```json", "```tool_call", "```tool_code", "<|python_tag|>")


class _State(Enum):
    TEXT = auto()
    HEAD = auto()
    ARGUMENTS = auto()
    BETWEEN = auto()
    PLAIN = auto()


class CallReader:
    """Tells calls from text while an answer comes. What looks like a call and turns out to be none is text.

    Args:
        form: how the model writes calls.
        names: the functions that there are.
    """

    def __init__(self, form: CallFormat, names: Sequence[str]) -> None:
        self._form = form
        self._names = frozenset(names)
        self._state = _State.TEXT
        self._buffer = ""
        self._depth = 0
        self._quoted = self._escaped = False
        self.calls = 0

    def feed(self, text: str) -> list[Found]:
        """Adds text of the answer.

        Args:
            text: the next piece.

        Returns:
            What is known by now, in order.
        """
        self._buffer += text
        return self._advance(ended=False)

    def finish(self) -> list[Found]:
        """Says that the answer has ended.

        Returns:
            What was held back.
        """
        found = self._advance(ended=True)
        if self._state in (_State.HEAD, _State.TEXT, _State.PLAIN) and self._buffer:
            found.append(self._buffer)
        self._buffer = ""
        return found

    def _advance(self, ended: bool) -> list[Found]:
        found: list[Found] = []
        steps = {
            _State.TEXT: self._text,
            _State.HEAD: self._head,
            _State.ARGUMENTS: self._arguments,
            _State.BETWEEN: self._between,
            _State.PLAIN: self._plain,
        }
        while steps[self._state](found, ended):
            pass
        return found

    def _text(self, found: list[Found], ended: bool) -> bool:
        """Looks for the beginning of a call."""
        begin = self._form.begin
        if begin:
            at = self._buffer.find(begin)
            if at < 0:
                held = 0 if ended else _overlap(self._buffer, begin)
                self._emit(found, len(self._buffer) - held)
                return False
            self._emit(found, at)
            self._state = _State.HEAD
            return True
        opening = _OPENING.match(self._buffer)
        rest = self._buffer[opening.end() if opening else 0 :]
        if not rest or (not ended and any(text.startswith(self._buffer.lstrip()) for text in _OPENINGS)):
            return False
        self._state = _State.HEAD if rest[0] in "{[" else _State.PLAIN
        return True

    def _head(self, found: list[Found], ended: bool) -> bool:
        opened = self._buffer.find(self._form.begin) + len(self._form.begin) if self._form.begin in self._buffer else 0
        opening = _OPENING.match(self._buffer, opened)
        start = opening.end() if opening else opened
        match = _HEAD.match(self._buffer, start)
        if match is None:
            seen = self._buffer[start:]
            hopeless = len(seen) > MAX_HEAD or (len(seen) > 64 and '"name"' not in seen[:64])
            if hopeless or ended:
                self._state = _State.PLAIN
                return True
            return False
        name = match.group(1)
        if name not in self._names or self.calls >= MAX_CALLS:
            self._state = _State.PLAIN
            return True
        self._buffer = self._buffer[match.end() :]
        self.calls += 1
        self._state, self._depth, self._quoted, self._escaped = _State.ARGUMENTS, 0, False, False
        found.append(CallBegins(self.calls - 1, name))
        return True

    def _arguments(self, found: list[Found], ended: bool) -> bool:
        end = len(self._buffer)
        for position, character in enumerate(self._buffer, 1):
            if self._escaped:
                self._escaped = False
            elif self._quoted:
                self._quoted, self._escaped = character != '"', character == "\\"
            elif character == '"':
                self._quoted = True
            elif character in "{[":
                self._depth += 1
            elif character in "}]":
                self._depth -= 1
                if not self._depth:
                    self._state, end = _State.BETWEEN, position
                    break
        if end:
            found.append(CallGoesOn(self.calls - 1, self._buffer[:end]))
            self._buffer = self._buffer[end:]
        return self._state is _State.BETWEEN

    def _between(self, found: list[Found], ended: bool) -> bool:
        """Skips what stands after a call, and finds the next one, or text."""
        self._buffer = self._buffer.lstrip()
        if not self._buffer:
            return False
        if self._buffer[0] == "{":
            self._state = _State.HEAD
            return True
        for closer in _BETWEEN:
            if self._buffer.startswith(closer):
                self._buffer = self._buffer[len(closer) :]
                return True
        if not ended and any(closer.startswith(self._buffer) for closer in _BETWEEN):
            return False
        self._state = _State.PLAIN
        return True

    def _plain(self, found: list[Found], ended: bool) -> bool:
        self._emit(found, len(self._buffer))
        return False

    def _emit(self, found: list[Found], length: int) -> None:
        if length:
            found.append(self._buffer[:length])
            self._buffer = self._buffer[length:]


def _overlap(text: str, begin: str) -> int:
    """How much of a text's end may be the beginning of something."""
    return next((size for size in range(min(len(text), len(begin) - 1), 0, -1) if begin.startswith(text[-size:])), 0)
