# SPDX-License-Identifier: Apache-2.0
"""The form of API keys."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cowabungaai_api.auth import keys

KEYS = st.integers(min_value=0, max_value=2**256 - 1).map(keys.make)


@given(KEYS)
def test_every_secret_has_a_key_of_the_same_form(key: str) -> None:
    assert len(key) == 54
    assert key.startswith("cbai_")
    assert keys.is_well_formed(key)


@given(st.integers(min_value=0, max_value=2**256 - 1), st.integers(min_value=0, max_value=2**256 - 1))
def test_different_secrets_have_different_keys(first: int, second: int) -> None:
    assert (keys.make(first) == keys.make(second)) == (first == second)


@given(KEYS, st.integers(min_value=0, max_value=53), st.characters(min_codepoint=1, max_codepoint=0x2FFF))
def test_one_wrong_character_is_noticed(key: str, place: int, character: str) -> None:
    wrong = key[:place] + character + key[place + 1 :]
    assert keys.is_well_formed(wrong) == (wrong == key)


@given(KEYS, st.integers(min_value=0, max_value=52))
def test_two_swapped_characters_are_noticed(key: str, place: int) -> None:
    swapped = key[:place] + key[place + 1] + key[place] + key[place + 2 :]
    assert keys.is_well_formed(swapped) == (swapped == key)


@pytest.mark.parametrize(
    "change", [lambda k: k[:-1], lambda k: k + "0", lambda k: k + "\n", lambda k: " " + k, str.lower]
)
def test_other_lengths_and_forms_are_refused(change: object) -> None:
    assert not keys.is_well_formed(change(keys.make(2**255 + 12345)))  # type: ignore[operator]


def test_the_form_never_changes() -> None:
    assert keys.make(0) == "cbai_" + "0" * 43 + "0DFPEY"
    assert keys.digest("cbai_x") == sha256(b"cbai_x").digest()


def test_generated_keys_differ() -> None:
    made = {keys.generate() for _ in range(1000)}
    assert len(made) == 1000
    assert all(map(keys.is_well_formed, made))


def test_the_displayed_part_tells_little() -> None:
    key = keys.generate()
    assert keys.display(key) == key[:11]
