# SPDX-License-Identifier: Apache-2.0
"""The one family of errors: raised by backends, carried as gRPC status codes, raised again by the client."""

from typing import ClassVar

import grpc

PARAM_KEY = "cowabungaai-param"
"""Trailing metadata of an INVALID_ARGUMENT: the parameter at fault."""
CODE_KEY = "cowabungaai-code"
"""Trailing metadata of an INVALID_ARGUMENT: the error's name for programs."""
RETRY_AFTER_KEY = "cowabungaai-retry-after"
"""Trailing metadata of a RESOURCE_EXHAUSTED: when another try may succeed, in seconds."""

_NEVER_CONNECTED = ("failed to connect to all addresses", "errors resolving ")
"""How gRPC's own messages begin where it had no connection to send a request on."""


class BackendError(Exception):
    """Something that kept a backend from answering.

    The message reaches the caller, so it must not hold secrets, paths or the conversation.
    """

    code: ClassVar[grpc.StatusCode] = grpc.StatusCode.INTERNAL
    """The gRPC status by which the error travels."""

    def trailers(self) -> tuple[tuple[str, str], ...]:
        """What travels beside the status, as trailing metadata."""
        return ()


class BackendFailedError(BackendError):
    """The backend broke while it handled the request."""


class BackendUnavailableError(BackendError):
    """The backend cannot be reached, still loads its model, or is draining; another try may succeed.

    Args:
        message: what is not available.
        connected: False only where the request surely never left, since there was no connection to send it on.
    """

    code = grpc.StatusCode.UNAVAILABLE

    def __init__(self, message: str, connected: bool = True) -> None:
        super().__init__(message)
        self.connected = connected


class BackendOverloadedError(BackendError):
    """Every slot of the backend is taken and its queue is full; the request was not begun.

    Args:
        message: what is full.
        retry_after_s: when another try may succeed, in seconds; None where that is not known.
    """

    code = grpc.StatusCode.RESOURCE_EXHAUSTED

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s

    def trailers(self) -> tuple[tuple[str, str], ...]:
        """See BackendError."""
        return () if self.retry_after_s is None else ((RETRY_AFTER_KEY, f"{self.retry_after_s:.3f}"),)


class BackendTimeoutError(BackendError):
    """The deadline passed before the answer was complete."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


class ModelNotFoundError(BackendError):
    """The backend does not serve a model of that name."""

    code = grpc.StatusCode.NOT_FOUND


class UnsupportedError(BackendError):
    """The backend has no such capability."""

    code = grpc.StatusCode.UNIMPLEMENTED


class InvalidRequestError(BackendError):
    """The request breaks the contract or asks for what the backend cannot do.

    Args:
        message: what was wrong, what was expected.
        param: the parameter at fault, by its name in the contract; None where it is none alone.
        code_name: the error's name for programs, such as `context_length_exceeded`; None where it has none.
    """

    code = grpc.StatusCode.INVALID_ARGUMENT

    def __init__(self, message: str, param: str | None = None, code_name: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        self.code_name = code_name

    def trailers(self) -> tuple[tuple[str, str], ...]:
        """See BackendError."""
        found = ((PARAM_KEY, self.param), (CODE_KEY, self.code_name))
        return tuple((key, _printable(value)) for key, value in found if value)


def error_from_rpc(error: grpc.aio.AioRpcError, target: str, ready: bool = True) -> BackendError:
    """Turns a failed call into the exception that the backend raised, or the nearest one.

    Args:
        error: what grpc.aio raised.
        target: the backend's address, for messages about the connection.
        ready: whether the connection is up now, after the failure.
    """
    details = error.details() or ""
    match error.code():
        case grpc.StatusCode.INVALID_ARGUMENT:
            return InvalidRequestError(details, _trailer(error, PARAM_KEY), _trailer(error, CODE_KEY))
        case grpc.StatusCode.NOT_FOUND:
            return ModelNotFoundError(details)
        case grpc.StatusCode.UNIMPLEMENTED:
            return UnsupportedError(f"the backend at {target} does not offer this: {details}")
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return BackendTimeoutError(f"the backend at {target} did not finish before the deadline")
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            return _exhausted(error, details, target)
        # A server that stops cancels what outlived its grace period; a caller's own cancellation never comes here.
        case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.CANCELLED:
            # A backend may pass on such a message of a call of its own, but then the connection to it is up.
            connected = ready or not details.startswith(_NEVER_CONNECTED)
            return BackendUnavailableError(f"the backend at {target} is not available: {details}", connected)
        case code:
            return BackendFailedError(f"the backend at {target} failed ({code.name}): {details}")


def _exhausted(error: grpc.aio.AioRpcError, details: str, target: str) -> BackendError:
    """Tells apart what gRPC gives one status: a full queue, and messages over the limit of either side."""
    if "CLIENT: Received message larger than max" in details:
        return BackendFailedError(f"the answer of the backend at {target} is too large: {details}")
    if "message larger than max" in details:
        return InvalidRequestError(f"the request is too large for the backend: {details}", None, "request_too_large")
    try:
        retry_after_s = float(_trailer(error, RETRY_AFTER_KEY) or "")
    except ValueError:
        return BackendOverloadedError(details)
    return BackendOverloadedError(details, retry_after_s)


def _printable(text: str) -> str:
    """What metadata can carry."""
    return "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in text)[:200]


def _trailer(error: grpc.aio.AioRpcError, key: str) -> str | None:
    value = next((value for name, value in error.trailing_metadata() or () if name == key), None)
    return value.decode() if isinstance(value, bytes) else value
