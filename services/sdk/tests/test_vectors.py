# SPDX-License-Identifier: Apache-2.0
"""Vectors as bytes."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cowabungaai_sdk.vectors import pack, unpack


@given(st.lists(st.floats(width=32, allow_nan=False)))
def test_vectors_survive(vector):
    assert unpack(pack(vector)) == tuple(vector)


def test_format_is_little_endian_float32():
    assert pack([1.0, -2.0]) == b"\x00\x00\x80\x3f\x00\x00\x00\xc0"
    assert pack([0.5]) == struct.pack("<f", 0.5)


def test_bytes_that_are_no_vector_are_refused():
    with pytest.raises(ValueError, match="5 bytes are no vector"):
        unpack(b"12345")
