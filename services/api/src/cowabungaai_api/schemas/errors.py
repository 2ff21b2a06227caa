# SPDX-License-Identifier: Apache-2.0
"""The body of every error."""

from pydantic import BaseModel


class ErrorDetail(BaseModel):
    """What went wrong.

    Args:
        message: for people.
        type: `invalid_request_error` for the client's mistakes, `server_error` for ours.
        param: the parameter at fault.
        code: for programs.
    """

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """The body itself."""

    error: ErrorDetail
