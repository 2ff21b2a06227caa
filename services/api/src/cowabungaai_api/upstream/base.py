# SPDX-License-Identifier: Apache-2.0
"""What the two ways to a replica have in common."""

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from cowabungaai_api.schemas.base import Request
from cowabungaai_sdk.client import BackendClient
from cowabungaai_sdk.v1.models_pb2 import Model

Metadata = Sequence[tuple[str, str]]


@dataclass(slots=True)
class TokenUse:
    """Tokens that a request used.

    Args:
        prompt: tokens read.
        completion: tokens generated.
    """

    prompt: int = 0
    completion: int = 0


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that came with a form.

    Args:
        filename: as the client gave it.
        content_type: as the client gave it.
        data: its bytes.
    """

    filename: str
    content_type: str
    data: bytes


@dataclass(slots=True)
class Call:
    """One client's request on its way to a replica.

    Args:
        body: the body as the client sent it; empty where it was a form.
        value: the same as JSON's objects, or the form's fields; not to be changed.
        request: the same, checked.
        upload: the form's file.
        timeout_s: how long it may take, in seconds.
        metadata: headers for the replica, such as the trace's.
        use: tokens used, as soon as the answer says so.
        pieces: events of a stream that were sent on so far.
        may_use: whether the caller may use a model, by its name.
    """

    body: bytes
    value: Any
    request: Any
    upload: Upload | None = None
    timeout_s: float = 600.0
    metadata: Metadata = ()
    use: TokenUse = field(default_factory=TokenUse)
    pieces: int = 0
    may_use: Callable[[str], bool] = bool


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer.

    Args:
        body: its bytes.
        content_type: its media type.
    """

    body: bytes
    content_type: bytes = b"application/json"


class Operation(Protocol):
    """One endpoint of OpenAI's API: how it is asked of a backend over gRPC, and where it is over HTTP."""

    path: str
    """Below the API's base, such as `/chat/completions`."""
    request: type[Request]
    """The model of its body."""
    done_marker: bool
    """Whether a stream ends with `[DONE]`."""

    async def unary(self, client: BackendClient, call: Call, model: str) -> Reply:
        """Asks for a whole answer; raises BackendError, or ApiError for what cannot be translated."""

    def stream(self, client: BackendClient, call: Call, model: str) -> AsyncGenerator[bytes, None]:
        """Asks for an answer in events; yields server-sent events, several at once where several came."""


class Upstream(Protocol):
    """The way to one replica. Every method raises BackendError's subclasses for what goes wrong on the way."""

    async def unary(self, operation: Operation, call: Call, model: str) -> Reply:
        """Asks for a whole answer.

        Args:
            operation: what is asked.
            call: the request.
            model: the model's name at the replica.
        """

    def stream(self, operation: Operation, call: Call, model: str) -> AsyncGenerator[bytes, None]:
        """Asks for an answer in events; closing the generator ends the replica's work. Arguments as unary's."""

    async def healthy(self, timeout_s: float) -> bool:
        """Whether the replica says that it serves.

        Args:
            timeout_s: how long to wait for the answer, in seconds.
        """

    async def models(self, timeout_s: float) -> Sequence[Model]:
        """What the replica serves.

        Args:
            timeout_s: how long to wait for the answer, in seconds.
        """

    async def close(self) -> None:
        """Closes connections; requests in flight are cancelled."""
