# SPDX-License-Identifier: Apache-2.0
"""What the errors of servers that speak OpenAI's API mean. Their texts go to the client only, never into the log."""

import re
from typing import Any

from cowabungaai_api.errors import ApiError
from cowabungaai_sdk.errors import (
    BackendError,
    BackendFailedError,
    BackendOverloadedError,
    BackendUnavailableError,
    InvalidRequestError,
    UnsupportedError,
)

STATUS_OF_TYPE = {"invalid_request_error": 400, "BadRequestError": 400, "rate_limit_error": 429}
"""Which status errors without a number in `code` have, by their type."""
_CLASS = re.compile(r"[A-Za-z_]{1,40}")


def refusal(status: int, body: object, where: str, retry_after_s: float | None = None) -> BackendError | ApiError:
    """Turns an answer other than 2xx into what is raised.

    Args:
        status: its status.
        body: its JSON; anything where it was none.
        where: the server, for messages.
        retry_after_s: when another try may succeed, in seconds, where it says so.
    """
    detail = _detail(body)
    message = _message(detail)
    kind, param, code = (_text(detail.get(name)) for name in ("type", "param", "code"))
    where = f"{where} answered {status}" + (f" ({kind})" if kind and _CLASS.fullmatch(kind) else "")
    match status:
        case 400 | 422:
            name = None if code and code.isdecimal() else code
            return InvalidRequestError(message or "the backend refuses the request", param, name)
        case 413:
            return ApiError(413, message or "The backend refuses the request as too large.", "body_too_large")
        case 404 if kind == "NotFoundError" or param == "model" or code == "model_not_found":
            # The model's name at the backend is wrong, which is a mistake of the gateway's configuration.
            return BackendFailedError(f"{where}: it does not have the model")
        case 404 | 405 | 501:
            return UnsupportedError(where)
        case 429:
            return BackendOverloadedError(where, retry_after_s)
        case 502 | 503 | 504:
            return BackendUnavailableError(where)
        case _:
            # A wrong key and a redirect are mistakes of the gateway's configuration too.
            return BackendFailedError(where)


def refusal_in_stream(event: object, where: str) -> BackendError | ApiError:
    """Turns an error that came as an event into what is raised; its code stands for the status.

    Args:
        event: the event's JSON.
        where: the server, for messages.
    """
    detail = _detail(event)
    code = detail.get("code")
    if isinstance(code, str) and code.isascii() and code.isdecimal():
        code = int(code[:4])
    if not isinstance(code, int) or not 400 <= code < 600:
        code = STATUS_OF_TYPE.get(_text(detail.get("type")) or "", 500)
    return refusal(code, event, f"{where}, in its stream,")


def _detail(body: object) -> dict[str, Any]:
    found = (body.get("error") or body) if isinstance(body, dict) else {}
    if isinstance(found, str):
        return {"message": found}
    # Old servers say {"object": "error"} and the rest beside it.
    return found if isinstance(found, dict) else {}


def _message(detail: dict[str, Any]) -> str:
    found = detail.get("message") or detail.get("detail")
    if isinstance(found, list) and found and isinstance(found[0], dict):  # FastAPI's own refusals
        found = found[0].get("msg")
    return _text(found) or ""


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
