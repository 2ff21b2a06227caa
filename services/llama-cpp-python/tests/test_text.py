# SPDX-License-Identifier: Apache-2.0
"""Bytes of tokens as text: whole characters, and no stop sequence, however they are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cowabungaai_llama_cpp.text import TextStream


def run(pieces: list[bytes], stops: list[str]) -> tuple[str, bool, list[int]]:
    """All text, whether it was stopped, and the marks that were released."""
    stream: TextStream[int] = TextStream(stops)
    text, marks = "", []
    for number, piece in enumerate(pieces):
        found = stream.feed(piece, number)
        text += found.text
        marks += found.marks
        if found.stopped:
            return text, True, marks
    rest = stream.flush()
    return text + rest.text, False, marks + rest.marks


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    """Bytes in pieces of those sizes; the last one is what is left."""
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [*pieces, data]


@given(st.text(), st.lists(st.integers(1, 5), max_size=20))
def test_text_comes_whole_however_it_is_cut(text, sizes):
    pieces = cut(text.encode(), sizes)
    assert run(pieces, []) == (text, False, list(range(len(pieces))))


@given(
    st.text("abc", max_size=30),
    st.lists(st.text("abc", min_size=1, max_size=4), min_size=1, max_size=3),
    st.lists(st.integers(1, 5), max_size=20),
)
def test_stop_is_never_in_the_answer(text, stops, sizes):
    found, stopped, _ = run(cut(text.encode(), sizes), stops)
    places = [text.find(stop) for stop in stops if stop in text]
    assert stopped == bool(places)
    assert not any(stop in found for stop in stops)
    assert text.startswith(found)
    if not places:
        assert found == text


@given(st.text(min_size=1), st.lists(st.integers(1, 3), max_size=20))
def test_no_half_character_is_sent(text, sizes):
    stream: TextStream[int] = TextStream(["never there"])
    for piece in cut(text.encode(), sizes):
        assert stream.feed(piece).text.encode() in text.encode()


def test_incomplete_character_at_the_end_is_dropped():
    assert run([b"a", "é".encode()[:1]], [])[0] == "a"


def test_bytes_that_are_no_text_are_shown_as_such():
    assert run([b"a\xff", b"b"], [])[0] == "a\N{REPLACEMENT CHARACTER}b"


@pytest.mark.parametrize(
    ("pieces", "stops", "text", "marks"),
    [
        ([b"one", b" two", b" three"], [" thr"], "one two", [0, 1]),
        ([b"on", b"e tw", b"o"], ["two"], "one ", [0, 1]),
        ([b"stop"], ["stop"], "", []),
    ],
)
def test_marks_belong_to_text_that_stays(pieces, stops, text, marks):
    assert run(pieces, stops) == (text, True, marks)


def test_stops_that_do_not_count_yet_are_text():
    stream: TextStream[int] = TextStream(["ab"])
    assert stream.feed(b"ab", stops=False).text == "ab"
    assert stream.feed(b"ab").stopped
