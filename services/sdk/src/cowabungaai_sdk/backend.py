"""The interfaces that a backend implements: one Protocol per capability, all of them on top of Backend."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from cowabungaai_sdk.v1.chat_pb2 import ChatRequest, FinishReason, Usage
from cowabungaai_sdk.v1.models_pb2 import Model


class Backend(Protocol):
    """What every backend has, whatever it can do."""

    async def load(self) -> None:
        """Makes the models ready; runs once, before the first request. The backend counts as healthy when it returns.

        Raises:
            Exception: any; the server then stops with a non-zero exit status.
        """

    async def close(self) -> None:
        """Frees what load took; runs once, after the last request, even where load failed."""

    def models(self) -> Sequence[Model]:
        """The models served, at least one, the default first; called after load."""


@dataclass(frozen=True, slots=True)
class ChatDelta:
    """The next piece of an answer.

    Args:
        text: text to append; may be empty.
        finish_reason: set in a choice's last delta, and only there.
        usage: tokens used over all choices; set once, in the very last delta.
        index: the choice that the piece belongs to.
    """

    text: str = ""
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    index: int = 0


@runtime_checkable
class ChatBackend(Backend, Protocol):
    """A backend that answers conversations."""

    def chat(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        """Answers a conversation piece by piece.

        The server has checked that the model is one of models() and that there is a message, and it adds ids
        and times. When the caller leaves or the deadline passes, the generator is cancelled and closed.

        Args:
            request: the conversation and its parameters; unset optional fields mean the engine's own defaults.

        Raises:
            BackendError: with a message that is fit for the caller. Any other exception reaches the caller as
                BackendFailedError without its message.
        """
