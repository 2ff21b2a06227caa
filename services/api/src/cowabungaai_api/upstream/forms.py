# SPDX-License-Identifier: Apache-2.0
"""Writes the forms that the audio endpoints take."""

import secrets
from typing import Any

from cowabungaai_api.upstream.base import Upload


def write_form(fields: dict[str, Any], upload: Upload) -> tuple[bytes, bytes]:
    """Writes a form.

    Args:
        fields: its fields; lists become several, whose names end in [].
        upload: its file, as the field `file`.

    Returns:
        The body and its content type.
    """
    boundary = secrets.token_hex(16)
    parts = []
    for name, value in fields.items():
        values = value if isinstance(value, list) else [value]
        label = f"{name}[]" if isinstance(value, list) else name
        parts += [
            f'--{boundary}\r\ncontent-disposition: form-data; name="{label}"\r\n\r\n{_plain(item)}\r\n'.encode()
            for item in values
        ]
    filename = upload.filename.translate({ord(bad): "_" for bad in '"\r\n\\'})
    head = f'--{boundary}\r\ncontent-disposition: form-data; name="file"; filename="{filename}"\r\n'
    head += "content-type: application/octet-stream\r\n\r\n"
    return b"".join([*parts, head.encode(), upload.data, f"\r\n--{boundary}--\r\n".encode()]), (
        f"multipart/form-data; boundary={boundary}".encode()
    )


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
