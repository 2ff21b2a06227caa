# SPDX-License-Identifier: Apache-2.0
"""Errors as OpenAI's API writes them: a status, and a body of message, type, param and code."""

import math
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from cowabungaai_api.auth.errors import AuthError
from cowabungaai_api.schemas.errors import ErrorBody, ErrorDetail
from cowabungaai_sdk.errors import (
    BackendError,
    BackendOverloadedError,
    BackendTimeoutError,
    BackendUnavailableError,
    InvalidRequestError,
    ModelNotFoundError,
    UnsupportedError,
)

TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
RETRY_AFTER_S = 1
"""What Retry-After says where nothing better is known, in seconds."""


class ApiError(HTTPException):
    """A request that is answered with an error. FastAPI lets an HTTPException pass where it replaces any other.

    Args:
        status: the HTTP status.
        message: what was wrong and what was expected; for the client's eyes.
        code: the error's name for programs.
        param: the parameter at fault; None where it is none alone.
        retry_after_s: with 429 and 503: when another try may succeed, in seconds.
    """

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        param: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        headers = None
        if retry_after_s is not None:
            # The official client reads the first, which is exact; others know only the second, in whole seconds.
            headers = {"retry-after-ms": str(math.ceil(retry_after_s * 1000))}
            headers["retry-after"] = str(max(1, math.ceil(retry_after_s)))
        if status == 401:
            headers = {"www-authenticate": "Bearer"}
        super().__init__(status, message, headers)
        self.body = ErrorBody(error=ErrorDetail(message=message, type=_kind(status), param=param, code=code))

    def response(self) -> JSONResponse:
        """The HTTP answer."""
        return JSONResponse(self.body.model_dump(), self.status_code, self.headers)

    def json(self) -> bytes:
        """The body."""
        return orjson.dumps(self.body.model_dump())

    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """The headers that belong to the error, as ASGI writes them."""
        return [(name.encode(), value.encode()) for name, value in (self.headers or {}).items()]


def model_not_found(name: str) -> ApiError:
    """The error for a model that is not offered, worded as OpenAI words it.

    Args:
        name: the model asked for.
    """
    message = f"The model `{name}` does not exist or you do not have access to it."
    return ApiError(404, message, "model_not_found", "model")


def from_backend(error: BackendError, model: str) -> ApiError:
    """Turns a backend's error into the client's.

    Args:
        error: what the call raised; messages about addresses stay in the gateway's log.
        model: the model asked for.
    """
    match error:
        case InvalidRequestError():
            return ApiError(400, str(error), error.code_name or "invalid_value", error.param)
        case UnsupportedError():
            return ApiError(400, f"The model `{model}` cannot be used for this.", "unsupported_operation", "model")
        case ModelNotFoundError():
            return model_not_found(model)
        case BackendOverloadedError():
            message = f"The model `{model}` has too many requests to answer; try again later."
            return ApiError(429, message, "server_overloaded", None, error.retry_after_s or RETRY_AFTER_S)
        case BackendUnavailableError():
            message = f"The model `{model}` is not ready; try again later."
            return ApiError(503, message, "backend_unavailable", None, RETRY_AFTER_S)
        case BackendTimeoutError():
            return ApiError(504, f"The model `{model}` did not finish in time.", "deadline_exceeded")
        case _:
            return ApiError(500, f"The model `{model}` failed while it handled the request.", "backend_failed")


def from_auth(error: AuthError) -> ApiError:
    """Turns a refusal of the caller into the client's error.

    Args:
        error: what was raised.
    """
    answer = ApiError(error.status, error.message, error.code, None, error.retry_after_s)
    for name, value in error.headers:
        answer.headers = {**(answer.headers or {}), name.decode(): value.decode()}
    return answer


def from_validation(errors: Sequence[Any], value: Any, unsupported: frozenset[str] = frozenset()) -> ApiError:
    """Turns what pydantic found into the client's error: the mistake that lies deepest, since that is what was meant.

    Args:
        errors: as pydantic lists them.
        value: what was validated.
        unsupported: documented parameters that are not offered.
    """
    located = [(_path(error, value), error) for error in errors]
    # Of what several types allow, the one whose type fits was meant.
    path, first = max(located, key=lambda found: (not found[1]["type"].endswith("_type"), len(found[0])))
    kind, message = first["type"], first["msg"].removeprefix("Value error, ")
    param = _param(path)
    if kind == "json_invalid":  # of FastAPI's own routes
        return ApiError(400, "We could not parse the JSON body of your request.", "invalid_json")
    if param is None:
        return ApiError(400, "The body must be a JSON object.", "invalid_type")
    if kind in ("missing", "union_tag_not_found"):
        return ApiError(400, f"Missing required parameter: '{param}'.", "missing_required_parameter", param)
    if kind == "extra_forbidden":
        return unknown_parameter(param)
    if path[0] in unsupported:
        message = f"Unsupported parameter: '{path[0]}' is not offered by this server; leave it out."
        return ApiError(400, message, "unsupported_parameter", str(path[0]))
    if kind.endswith("_type"):
        wanted = [error["msg"] for other, error in located if other == path and error["type"].endswith("_type")]
        message = "; or ".join(dict.fromkeys(wanted))
        return ApiError(400, f"Invalid type for '{param}': {message}.", "invalid_type", param)
    return ApiError(400, f"Invalid '{param}': {message}.", "invalid_value", param)


def unknown_parameter(param: str) -> ApiError:
    """The error for a parameter that nobody knows.

    Args:
        param: its name.
    """
    return ApiError(400, f"Unknown parameter: '{param}'.", "unknown_parameter", param)


def from_pydantic(error: ValidationError, value: Any, unsupported: frozenset[str] = frozenset()) -> ApiError:
    """As from_validation, for what pydantic itself raises.

    Args:
        error: what it raised.
        value: what was validated.
        unsupported: documented parameters that are not offered.
    """
    return from_validation(error.errors(include_url=False, include_input=False), value, unsupported)


def install(app: FastAPI) -> None:
    """Makes every error of an app one of OpenAI's.

    Args:
        app: gets the exception handlers.
    """
    app.add_exception_handler(ApiError, _on_api_error)
    app.add_exception_handler(AuthError, _on_auth_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(Exception, _on_unexpected)


def _kind(status: int) -> str:
    return TYPES.get(status) or ("server_error" if status >= 500 else "invalid_request_error")


def _path(error: Any, value: Any) -> tuple[int | str, ...]:
    """Where in the body a mistake is: pydantic's location without the names of the alternatives that it tried."""
    steps = [*error["loc"]]
    context = error.get("ctx", {})
    # Checks of our own name a field of what they check; pydantic names the field that tells alternatives apart.
    if named := context.get("param") or context.get("discriminator", "").strip("'"):
        steps.append(named)
    path: list[int | str] = []
    for number, step in enumerate(steps):
        last = number == len(steps) - 1
        if isinstance(value, dict) and (step in value or (last and (named or error["type"] == "missing"))):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            continue
        path.append(step)
    return tuple(path)


def _param(path: tuple[int | str, ...]) -> str | None:
    """Writes a location as OpenAI does: `messages[0].content`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".") or None


async def _on_api_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ApiError)  # noqa: S101 - the handler is registered for this class
    return error.response()


async def _on_auth_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, AuthError)  # noqa: S101 - the handler is registered for this class
    return from_auth(error).response()


async def _on_validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - the handler is registered for this class
    # The first step of a location says where the value came from.
    errors = [{**found, "loc": found["loc"][1:]} for found in error.errors()]
    source = error.errors()[0]["loc"][0]
    value = {"query": dict(request.query_params), "path": request.path_params}.get(str(source), error.body)
    return from_validation(errors, value).response()


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
