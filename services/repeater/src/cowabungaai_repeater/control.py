# SPDX-License-Identifier: Apache-2.0
"""Controls: what a caller writes into its text so that the repeater behaves as a test needs it.

A line that begins with `/repeat` has settings, as `/repeat delay=20ms error=unavailable after=3`. It is taken out of
the text; what follows ` -- ` on it stays. See the README for the settings.
"""

import asyncio
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from cowabungaai_sdk.errors import (
    BackendError,
    BackendFailedError,
    BackendOverloadedError,
    BackendTimeoutError,
    BackendUnavailableError,
    InvalidRequestError,
    ModelNotFoundError,
    UnsupportedError,
)
from cowabungaai_sdk.v1 import common_pb2
from cowabungaai_sdk.v1.common_pb2 import FinishReason

PREFIX = "/repeat"
MAX_TOKENS = 1_000_000

REASONS: dict[str, FinishReason] = {
    "stop": common_pb2.FINISH_REASON_STOP,
    "length": common_pb2.FINISH_REASON_LENGTH,
    "tool_calls": common_pb2.FINISH_REASON_TOOL_CALLS,
    "content_filter": common_pb2.FINISH_REASON_CONTENT_FILTER,
}
ERRORS: dict[str, type[BackendError]] = {
    "failed": BackendFailedError,
    "invalid": InvalidRequestError,
    "not_found": ModelNotFoundError,
    "overloaded": BackendOverloadedError,
    "timeout": BackendTimeoutError,
    "unavailable": BackendUnavailableError,
    "unsupported": UnsupportedError,
}
CRASH = "crash"
HANG = "hang"


@dataclass(frozen=True, slots=True)
class Control:
    """What one request is to show.

    Args:
        delay_s: time for a token, in seconds.
        first_delay_s: time before the first token, in seconds.
        error: one of ERRORS, `crash` or `hang`; None means none.
        after: how many pieces come before the error.
        retry_after_s: what an overload says, in seconds.
        finish: the finish reason; None means the true one.
        tokens: how many tokens the answer has; None means as many as the text.
        reasoning: what is thought before the answer.
        refusal: what is said instead of an answer.
        calls: the tools called.
        usage: whether the answer says its usage, as the contract wants it.
    """

    delay_s: float = 0.0
    first_delay_s: float = 0.0
    error: str | None = None
    after: int = 0
    retry_after_s: float | None = None
    finish: FinishReason | None = None
    tokens: int | None = None
    reasoning: str = ""
    refusal: str = ""
    calls: tuple[str, ...] = ()
    usage: bool = True

    async def pace(self, piece: int) -> None:
        """Waits as long as a piece takes, then fails where it is to fail.

        Args:
            piece: the piece that comes next, from 0.

        Raises:
            BackendError: as the control says.
            RuntimeError: with `crash`.
        """
        delay_s = self.delay_s if piece else self.first_delay_s
        if delay_s:
            await asyncio.sleep(delay_s)
        if self.error is not None and piece == self.after:
            await self._fail(self.error)

    async def fail_at_end(self, pieces: int) -> None:
        """Fails where the answer had fewer pieces than were to come before the error.

        Args:
            pieces: how many pieces there were.

        Raises:
            BackendError: as the control says.
            RuntimeError: with `crash`.
        """
        if self.error is not None and self.after >= pieces:
            await self._fail(self.error)

    async def _fail(self, name: str) -> None:
        if name == HANG:
            await asyncio.Event().wait()
        if name == CRASH:
            raise RuntimeError("crashed, as the control says")
        kind, message = ERRORS[name], f"the control says error={name}"
        raise BackendOverloadedError(message, self.retry_after_s) if name == "overloaded" else kind(message)


def parse(text: str, defaults: Control, param: str) -> tuple[str, Control]:
    """Takes the controls out of a text.

    Args:
        text: what the caller wrote.
        defaults: what holds where the text says nothing.
        param: the parameter that holds the text, for errors.

    Returns:
        The text without them, and what they say.

    Raises:
        InvalidRequestError: a setting is unknown, or its value wrong.
    """
    if PREFIX not in text:
        return text, defaults
    lines: list[str] = []
    for line in text.split("\n"):
        if line != PREFIX and not line.startswith(f"{PREFIX} "):
            lines.append(line)
            continue
        settings, mark, rest = line.removeprefix(PREFIX).partition(" -- ")
        if mark:
            lines.append(rest)
        defaults = _apply(settings, defaults, param)
    return "\n".join(lines), defaults


def _apply(settings: str, control: Control, param: str) -> Control:
    try:
        words = shlex.split(settings)
    except ValueError as error:
        raise InvalidRequestError(f"the control {settings.strip()!r} is not well quoted: {error}", param) from error
    for word in words:
        key, mark, value = word.partition("=")
        if key not in _SETTINGS or not mark:
            expected = ", ".join(f"{name}=" for name in _SETTINGS)
            raise InvalidRequestError(f"unknown control {word!r}; expected {expected}", param)
        field, read = _SETTINGS[key]
        try:
            control = replace(control, **{field: read(value)})
        except ValueError as error:
            raise InvalidRequestError(f"the control {key} is {value!r}; expected {error}", param) from error
    return control


def _duration(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s)", text)
    if not found:
        raise ValueError("a time such as 20ms or 1.5s")
    return float(found[1]) / (1000 if found[2] == "ms" else 1)


def _count(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) > MAX_TOKENS:
        raise ValueError(f"a whole number from 0 to {MAX_TOKENS}")
    return int(text)


def _one_of(*known: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in known:
            raise ValueError(f"one of {', '.join(known)}")
        return text

    return read


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if not all(names):
        raise ValueError("names of tools with commas between them")
    return names


_SETTINGS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "delay": ("delay_s", _duration),
    "first": ("first_delay_s", _duration),
    "error": ("error", _one_of(*ERRORS, CRASH, HANG)),
    "after": ("after", _count),
    "retry_after": ("retry_after_s", _duration),
    "finish": ("finish", lambda text: REASONS[_one_of(*REASONS)(text)]),
    "tokens": ("tokens", _count),
    "reasoning": ("reasoning", str),
    "refusal": ("refusal", str),
    "call": ("calls", _names),
    "usage": ("usage", lambda text: _one_of("none", "full")(text) == "full"),
}
