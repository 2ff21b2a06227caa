"""Errors as OpenAI's API writes them: a status, and a body of message, type, param and code."""

from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from cowabungaai_api.schemas.errors import ErrorBody, ErrorDetail
from cowabungaai_sdk.errors import (
    BackendError,
    BackendTimeoutError,
    BackendUnavailableError,
    InvalidRequestError,
    ModelNotFoundError,
)


class ApiError(HTTPException):
    """A request that is answered with an error. FastAPI lets an HTTPException pass where it replaces any other.

    Args:
        status: the HTTP status.
        message: what was wrong and what was expected; for the client's eyes.
        code: the error's name for programs.
        param: the parameter at fault; None where it is none alone.
    """

    def __init__(self, status: int, message: str, code: str | None = None, param: str | None = None) -> None:
        super().__init__(status, message)
        self.body = ErrorBody(error=ErrorDetail(message=message, type=_kind(status), param=param, code=code))

    def response(self) -> JSONResponse:
        """The HTTP answer."""
        return JSONResponse(self.body.model_dump(), self.status_code)


def model_not_found(name: str) -> ApiError:
    """The error for a model that is not offered, worded as OpenAI words it.

    Args:
        name: the model asked for.
    """
    message = f"The model `{name}` does not exist or you do not have access to it."
    return ApiError(404, message, "model_not_found")


def from_backend(error: BackendError, model: str) -> ApiError:
    """Turns a backend's error into the client's.

    Args:
        error: what the call raised; messages about addresses stay in the gateway's log.
        model: the model asked for.
    """
    match error:
        case InvalidRequestError():
            return ApiError(400, str(error), "invalid_value", error.param)
        case ModelNotFoundError():
            return model_not_found(model)
        case BackendUnavailableError():
            return ApiError(503, f"The model `{model}` is not ready; try again later.", "backend_unavailable")
        case BackendTimeoutError():
            return ApiError(504, f"The model `{model}` did not finish in time.", "deadline_exceeded")
        case _:
            return ApiError(500, f"The model `{model}` failed while it handled the request.", "backend_failed")


def from_validation(error: RequestValidationError) -> ApiError:
    """Turns the first mistake that pydantic found into the client's error.

    Args:
        error: what FastAPI raised for a request.
    """
    first = error.errors()[0]
    kind, message, context = first["type"], first["msg"], first.get("ctx", {})
    if kind == "json_invalid":
        return ApiError(400, "We could not parse the JSON body of your request.", "invalid_json")
    # The first step of a location says where the value came from: body, path or query. Our own validators
    # name a field below it in the context.
    named = (context["param"],) if "param" in context else ()
    param = _param((*first["loc"][1:], *named))
    if param is None:
        return ApiError(400, f"The body must be a JSON object, with Content-Type application/json. {message}.")
    if kind == "missing":
        return ApiError(400, f"Missing required parameter: '{param}'.", "missing_required_parameter", param)
    if kind == "extra_forbidden":
        return ApiError(400, f"Unknown parameter: '{param}'.", "unknown_parameter", param)
    if kind == "unsupported_parameter":
        return ApiError(400, message, kind, param)
    code = "invalid_type" if kind.endswith("_type") else "invalid_value"
    return ApiError(400, f"Invalid '{param}': {message}.", code, param)


def install(app: FastAPI) -> None:
    """Makes every error of an app one of OpenAI's.

    Args:
        app: gets the exception handlers.
    """
    app.add_exception_handler(ApiError, _on_api_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(Exception, _on_unexpected)


def _kind(status: int) -> str:
    return "server_error" if status >= 500 else "invalid_request_error"


def _param(loc: tuple[int | str, ...]) -> str | None:
    """Writes a location as OpenAI does: `messages[0].content`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in loc).lstrip(".") or None


async def _on_api_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ApiError)  # noqa: S101 - the handler is registered for this class
    return error.response()


async def _on_validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - the handler is registered for this class
    return from_validation(error).response()


async def _on_http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - the handler is registered for this class
    url = f"{request.method} {request.url.path}"
    known = {404: f"Invalid URL ({url})", 405: f"Not allowed to {url}"}
    message = known.get(error.status_code, HTTPStatus(error.status_code).phrase)
    response = ApiError(error.status_code, message).response()
    response.headers.update(error.headers or {})
    return response


async def _on_unexpected(request: Request, error: Exception) -> JSONResponse:
    return ApiError(500, "The gateway failed while it handled the request.", "internal_error").response()
