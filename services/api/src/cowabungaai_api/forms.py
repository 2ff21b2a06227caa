# SPDX-License-Identifier: Apache-2.0
"""Forms with a file, as the audio endpoints take them."""

from collections.abc import AsyncGenerator
from typing import Any

from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from cowabungaai_api.errors import ApiError
from cowabungaai_api.upstream.base import Upload

MAX_FIELDS = 64


class _InMemory(MultiPartParser):
    """Keeps files in memory: the body is there already, and the root file system may be read-only."""

    spool_max_size = 1 << 40


async def read_form(body: bytes, content_type: bytes) -> tuple[dict[str, Any], Upload]:
    """Takes a form apart.

    Args:
        body: the whole body.
        content_type: its header, which names the boundary.

    Returns:
        The fields, those whose name ends in [] as lists, and the file named `file`.

    Raises:
        ApiError: 400, it is no such form, or has no file.
    """

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    headers = Headers({"content-type": content_type.decode("latin-1")})
    try:
        form = await _InMemory(headers, stream(), max_files=1, max_fields=MAX_FIELDS).parse()
    except (MultiPartException, KeyError, UnicodeDecodeError, LookupError) as error:
        reason = getattr(error, "message", "the form cannot be read")
        raise ApiError(400, f"The body is not a valid form: {reason}.", "invalid_form") from error
    try:
        return await _take_apart(form)
    finally:
        await form.close()


async def _take_apart(form: FormData) -> tuple[dict[str, Any], Upload]:
    fields: dict[str, Any] = {}
    upload = None
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            if name != "file":
                raise ApiError(400, f"'{name}' must not be a file; the file's field is 'file'.", "invalid_type", name)
            data = await value.read()
            upload = Upload(value.filename or "audio", value.content_type or "", data)
        elif name.endswith("[]") and isinstance(values := fields.setdefault(name.removesuffix("[]"), []), list):
            values.append(value)
        elif name.removesuffix("[]") in fields:
            raise ApiError(400, f"'{name}' is given twice.", "invalid_value", name)
        else:
            fields[name] = value
    if upload is None:
        message = "'file' must be a file, not a text." if "file" in fields else "Missing required parameter: 'file'."
        raise ApiError(400, message, "missing_required_parameter", "file")
    if not upload.data:
        raise ApiError(400, "Invalid 'file': it is empty.", "invalid_value", "file")
    return fields, upload
