# SPDX-License-Identifier: Apache-2.0
"""Bounds on the shape of a body: what is small in bytes may be expensive to check, or too deep to be written again."""

from typing import Any

from cowabungaai_api.errors import ApiError

MAX_DEPTH = 100
"""How deeply lists and objects may be nested; orjson writes at most 254 levels."""
MAX_KEYS = 1000
"""How many keys an object may have; each unknown one is an error of its own."""
FREE_BYTES = 64 * 1024
FREE_BRACKETS = 200


def check_shape(body: bytes, value: Any) -> None:
    """Refuses bodies that are too deep or have objects with too many keys.

    Small bodies with few brackets cannot be either, and are not looked at.

    Args:
        body: the body.
        value: the same as JSON's objects.

    Raises:
        ApiError: 400, it is out of bounds.
    """
    if len(body) <= FREE_BYTES and body.count(b"[") + body.count(b"{") <= FREE_BRACKETS:
        return
    level: list[Any] = [value]
    depth = 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise ApiError(400, f"The body is nested more than {MAX_DEPTH} levels deep.", "invalid_value")
        following: list[Any] = []
        for found in level:
            if isinstance(found, dict):
                if len(found) > MAX_KEYS:
                    raise ApiError(400, f"An object has more than {MAX_KEYS} keys.", "invalid_value")
                following += [inner for inner in found.values() if isinstance(inner, dict | list)]
            elif isinstance(found, list):
                following += [inner for inner in found if isinstance(inner, dict | list)]
        level = following
