"""The one family of errors: raised by backends, carried as gRPC status codes, raised again by the client."""

from typing import ClassVar

import grpc

PARAM_KEY = "cowabungaai-param"
"""Trailing metadata that names the parameter which an INVALID_ARGUMENT is about."""


class BackendError(Exception):
    """Something that kept a backend from answering.

    The message reaches the caller, so it must not hold secrets, paths or the conversation.
    """

    code: ClassVar[grpc.StatusCode] = grpc.StatusCode.INTERNAL
    """The gRPC status by which the error travels."""


class BackendFailedError(BackendError):
    """The backend broke while it handled the request."""


class BackendUnavailableError(BackendError):
    """The backend cannot be reached, still loads its model, or is draining; another try may succeed."""

    code = grpc.StatusCode.UNAVAILABLE


class BackendTimeoutError(BackendError):
    """The deadline passed before the answer was complete."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


class ModelNotFoundError(BackendError):
    """The backend does not serve a model of that name."""

    code = grpc.StatusCode.NOT_FOUND


class InvalidRequestError(BackendError):
    """The request breaks the contract or asks for what the backend cannot do.

    Args:
        message: what was wrong, what was expected.
        param: the parameter at fault, by its name in the contract; None where it is none alone.
    """

    code = grpc.StatusCode.INVALID_ARGUMENT

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


def error_from_rpc(error: grpc.aio.AioRpcError, target: str) -> BackendError:
    """Turns a failed call into the exception that the backend raised, or the nearest one.

    Args:
        error: what grpc.aio raised.
        target: the backend's address, for messages about the connection.
    """
    details = error.details() or ""
    match error.code():
        case grpc.StatusCode.INVALID_ARGUMENT:
            param = next((value for key, value in error.trailing_metadata() or () if key == PARAM_KEY), None)
            return InvalidRequestError(details, param.decode() if isinstance(param, bytes) else param)
        case grpc.StatusCode.NOT_FOUND:
            return ModelNotFoundError(details)
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return BackendTimeoutError(f"the backend at {target} did not finish before the deadline")
        # A server that stops cancels what outlived its grace period; a caller's own cancellation never comes here.
        case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.CANCELLED:
            return BackendUnavailableError(f"the backend at {target} is not available: {details}")
        case code:
            return BackendFailedError(f"the backend at {target} failed ({code.name}): {details}")
