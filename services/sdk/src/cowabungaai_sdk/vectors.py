# SPDX-License-Identifier: Apache-2.0
"""Vectors as the contract carries them: IEEE 754 float32, little-endian, 4 bytes a dimension."""

import struct
from collections.abc import Sequence


def pack(vector: Sequence[float]) -> bytes:
    """Turns a vector into bytes.

    Args:
        vector: its numbers; they are rounded to float32.

    Raises:
        OverflowError: a number is too large for float32.
    """
    return struct.pack(f"<{len(vector)}f", *vector)


def unpack(data: bytes) -> tuple[float, ...]:
    """Turns bytes back into a vector.

    Args:
        data: 4 bytes a dimension.

    Raises:
        ValueError: the length is not a multiple of 4.
    """
    if len(data) % 4:
        raise ValueError(f"{len(data)} bytes are no vector; expected a multiple of 4")
    return struct.unpack(f"<{len(data) // 4}f", data)
