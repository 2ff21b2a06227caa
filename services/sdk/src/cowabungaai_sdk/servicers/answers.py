# SPDX-License-Identifier: Apache-2.0
"""Answers in the making: that they are complete, and their pieces put together."""

from dataclasses import dataclass, field

from cowabungaai_sdk.backend import ChatDelta, CompletionDelta
from cowabungaai_sdk.errors import BackendFailedError
from cowabungaai_sdk.servicers.calls import Call
from cowabungaai_sdk.v1.chat_pb2 import ROLE_ASSISTANT, ChatChoice, ChatLogprobs, ChatMessage, ContentPart, ToolCall
from cowabungaai_sdk.v1.common_pb2 import FinishReason, TokenLogprob, Usage
from cowabungaai_sdk.v1.completion_pb2 import CompletionChoice


class Watch:
    """Sees to it that a backend keeps to its interface: every choice ends once, and the usage comes last.

    Args:
        call: gets what is known at the end.
        choices: how many choices were asked for.
    """

    def __init__(self, call: Call, choices: int) -> None:
        self._call = call
        self._choices = choices
        self._reasons: dict[int, FinishReason] = {}
        self._usage: Usage | None = None

    def see(self, delta: ChatDelta | CompletionDelta) -> bool:
        """Takes note of the next piece.

        Args:
            delta: the piece.

        Returns:
            Whether it belongs to a choice; otherwise it has the usage alone.

        Raises:
            BackendFailedError: it comes after the end of the answer or the choice, or belongs to none.
        """
        self._call.piece()
        if self._usage is not None:
            raise BackendFailedError("the backend's answer went on after its usage")
        if delta.usage is not None:
            self._usage = delta.usage
            if not delta.finish_reason and not delta.text and delta.index in self._reasons:
                return False
        if delta.index in self._reasons or delta.index >= self._choices:
            raise BackendFailedError(
                f"the backend's answer has a piece of choice {delta.index}, which ended or is none"
            )
        # Unspecified is no reason: it would look to clients as if the choice had not ended.
        if delta.finish_reason:
            self._reasons[delta.index] = delta.finish_reason
        return True

    def end(self) -> Usage:
        """Takes note of the answer's end.

        Returns:
            The tokens used.

        Raises:
            BackendFailedError: a choice has no finish reason, or there is no usage.
        """
        if missing := [str(index) for index in range(self._choices) if index not in self._reasons]:
            raise BackendFailedError(f"the backend's answer ended without a finish reason of choice {missing[0]}")
        if self._usage is None:
            raise BackendFailedError("the backend's answer ended without usage")
        self._call.prompt_tokens = self._usage.prompt_tokens
        self._call.completion_tokens = self._usage.completion_tokens
        self._call.finish(tuple(self._reasons.values()))
        return self._usage


@dataclass(slots=True)
class ChatPieces:
    """One choice of a conversation's answer in the making."""

    texts: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    reasonings: list[str] = field(default_factory=list)
    calls: dict[int, ToolCall] = field(default_factory=dict)
    logprobs: ChatLogprobs | None = None
    reason: FinishReason | None = None

    def add(self, delta: ChatDelta) -> None:
        """Appends the next piece.

        Args:
            delta: a piece of this choice.
        """
        self.texts.append(delta.text)
        self.refusals.append(delta.refusal)
        self.reasonings.append(delta.reasoning)
        for piece in delta.tool_calls:
            call = self.calls.setdefault(piece.index, ToolCall())
            call.id += piece.id
            call.name += piece.name
            call.arguments += piece.arguments
        if delta.logprobs is not None:
            if self.logprobs is None:
                self.logprobs = ChatLogprobs()
            self.logprobs.MergeFrom(delta.logprobs)
        if delta.finish_reason is not None:
            self.reason = delta.finish_reason

    def choice(self, index: int) -> ChatChoice:
        """The choice, complete.

        Args:
            index: its position.
        """
        text, refusal, reasoning = ("".join(pieces) for pieces in (self.texts, self.refusals, self.reasonings))
        content = []
        # Calls and refusals need no text beside them; any other answer has one, be it empty.
        if text or not (self.calls or refusal):
            content.append(ContentPart(text=text))
        if refusal:
            content.append(ContentPart(refusal=refusal))
        message = ChatMessage(
            role=ROLE_ASSISTANT,
            content=content,
            tool_calls=[self.calls[position] for position in sorted(self.calls)],
            reasoning=reasoning or None,
        )
        return ChatChoice(index=index, message=message, finish_reason=self.reason, logprobs=self.logprobs)


@dataclass(slots=True)
class CompletionPieces:
    """One continuation in the making."""

    texts: list[str] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    reason: FinishReason | None = None

    def add(self, delta: CompletionDelta) -> None:
        """Appends the next piece.

        Args:
            delta: a piece of this choice.
        """
        self.texts.append(delta.text)
        self.logprobs.extend(delta.logprobs)
        if delta.finish_reason is not None:
            self.reason = delta.finish_reason

    def choice(self, index: int) -> CompletionChoice:
        """The choice, complete.

        Args:
            index: its position.
        """
        return CompletionChoice(
            index=index, text="".join(self.texts), finish_reason=self.reason, logprobs=self.logprobs
        )
