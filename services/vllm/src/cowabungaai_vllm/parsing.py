# SPDX-License-Identifier: Apache-2.0
"""From pieces of generated text to pieces of an answer: text, reasoning and tool calls, one reader for each choice."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from cowabungaai_sdk.v1.chat_pb2 import ToolCallDelta
from cowabungaai_vllm.tools import calls_of, new_id


@dataclass(frozen=True, slots=True)
class Piece:
    """What a piece of generated text means.

    Args:
        text: to append to the answer.
        reasoning: to append to the reasoning.
        tool_calls: pieces of calls.
    """

    text: str = ""
    reasoning: str = ""
    tool_calls: Sequence[ToolCallDelta] = ()


class Reader(Protocol):
    """Reads one choice."""

    called: bool

    def read(self, text: str, ids: Sequence[int], last: bool) -> Piece:
        """Reads the next piece.

        Args:
            text: generated since the last piece.
            ids: its tokens.
            last: whether the choice ends with it.
        """


class TextReader:
    """Reads answers that are nothing but text."""

    called = False

    def read(self, text: str, ids: Sequence[int], last: bool) -> Piece:
        """See Reader."""
        return Piece(text)


class RequiredReader:
    """Reads calls that the engine was made to write as tools.schema_of says; they are whole when the choice ends."""

    def __init__(self) -> None:
        self.called = False
        self._written: list[str] = []

    def read(self, text: str, ids: Sequence[int], last: bool) -> Piece:
        """See Reader."""
        self._written.append(text)
        if not last:
            return Piece()
        calls = calls_of("".join(self._written))
        self.called = bool(calls)
        return Piece(tool_calls=calls)


class FunctionReader:
    """Reads the arguments of the one function that must be called, as they are written.

    Args:
        name: the function's.
    """

    def __init__(self, name: str) -> None:
        self.called = True
        self._name: str | None = name

    def read(self, text: str, ids: Sequence[int], last: bool) -> Piece:
        """See Reader."""
        if self._name is None:
            return Piece(tool_calls=[ToolCallDelta(arguments=text)] if text else ())
        first = ToolCallDelta(id=new_id(), name=self._name, arguments=text)
        self._name = None
        return Piece(tool_calls=[first])


@dataclass(slots=True)
class ParsedReader:
    """Reads by vLLM's own parsers of the model's reasoning and of its tool calls.

    Args:
        request: vLLM's ChatCompletionRequest, which tool parsers look at.
        tools: vLLM's tool parser; None where no tool may be called.
        reasoning: vLLM's reasoning parser; None where the model has none.
        parallel: whether there may be several calls; later ones are left out where not.
    """

    request: Any
    tools: Any = None
    reasoning: Any = None
    parallel: bool = True
    called: bool = False
    _thinking: bool = field(init=False)
    _text: str = field(init=False, default="")
    _ids: list[int] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self._thinking = self.reasoning is not None

    def read(self, text: str, ids: Sequence[int], last: bool) -> Piece:
        """See Reader."""
        thought = ""
        if self._thinking:
            delta = self._delta(self.reasoning.extract_reasoning_streaming, text, ids)
            if not self.reasoning.is_reasoning_end_streaming([*self._ids, *ids], ids):
                self._remember(text, ids)
                return Piece(_of(delta, "content"), _of(delta, "reasoning"))
            # What follows is read as if the thoughts had never been.
            thought, text = _of(delta, "reasoning"), _of(delta, "content")
            ids = self.reasoning.extract_content_ids(list(ids))
            self._thinking, self._text, self._ids = False, "", []
        if self.tools is None:
            return Piece(text, thought)
        delta = self._delta(self.tools.extract_tool_calls_streaming, text, ids, self.request)
        self._remember(text, ids)
        calls = [
            call for call in map(_call, getattr(delta, "tool_calls", None) or []) if self.parallel or not call.index
        ]
        if last and self.called and (rest := self.tools.get_remaining_unstreamed_args()):
            calls.append(ToolCallDelta(index=max(self.tools.current_tool_id, 0), arguments=rest))
        self.called = self.called or bool(calls)
        return Piece(_of(delta, "content"), thought, calls)

    def _delta(self, extract: Any, text: str, ids: Sequence[int], *more: Any) -> Any:
        return extract(self._text, self._text + text, text, self._ids, [*self._ids, *ids], list(ids), *more)

    def _remember(self, text: str, ids: Sequence[int]) -> None:
        self._text += text
        self._ids = [*self._ids, *ids]


def _of(delta: Any, name: str) -> str:
    return getattr(delta, name, None) or ""


def _call(delta: Any) -> ToolCallDelta:
    function = delta.function
    return ToolCallDelta(
        index=delta.index,
        id=delta.id or None,
        name=(function.name if function else None) or None,
        arguments=(function.arguments if function else None) or "",
    )
