# SPDX-License-Identifier: Apache-2.0
"""Which slot takes a prompt, and what of it need not be read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cowabungaai_llama_cpp.slots import REREAD, Slot, choose, common_prefix

SYSTEM = list(range(100, 200))


def slots(*held: list[int], busy: tuple[int, ...] = (), owner: str = "") -> list[Slot]:
    """Slots that hold those tokens; used in their order."""
    return [Slot(number, tokens, owner, number in busy, number + 1) for number, tokens in enumerate(held)]


def chosen(found: list[Slot], prompt: list[int], *, shared: bool = True, owner: str = "", usable: bool = True):
    """Numbers of the slot and its source, and the length."""
    choice = choose(found, prompt, owner, lambda slot, length: usable, shared=shared)
    return choice and (choice.slot.sequence, choice.source and choice.source.sequence, choice.length)


@given(st.lists(st.integers(0, 2)), st.lists(st.integers(0, 2)))
def test_common_prefix_is_the_longest(first, second):
    length = common_prefix(first, second)
    assert first[:length] == second[:length]
    assert length == min(len(first), len(second)) or first[length] != second[length]


def prompt(*rest: int) -> list[int]:
    """A prompt with the common beginning, and an end of its own that is read in any case."""
    return [*SYSTEM, *rest, *range(1000, 1000 + REREAD)]


@pytest.mark.parametrize(
    ("held", "busy", "expected"),
    [
        # nothing held: the first empty one
        ([[], []], (), (0, None, 0)),
        # goes on where it was
        ([[1, 2, 3], [*SYSTEM, 7]], (), (1, 1, 100)),
        # a busy slot's beginning is shared with a free one
        ([[*SYSTEM, 7], []], (0,), (1, 0, 100)),
        # a slot of which little is used again is kept, and the oldest taken
        ([[*SYSTEM, *range(500)], []], (), (1, 0, 100)),
        ([[5, 5], [6, 6]], (), (0, None, 0)),
    ],
)
def test_choice(held, busy, expected):
    assert chosen(slots(*held, busy=busy), prompt(9)) == expected


def test_no_slot_is_free():
    assert chosen(slots([], busy=(0,)), prompt()) is None


def test_the_end_of_a_prompt_is_always_read():
    whole = prompt()
    assert chosen(slots(whole), whole) == (0, 0, len(whole) - REREAD)
    assert chosen(slots([1, 2, 3]), [1, 2, 3]) == (0, None, 0)


def test_owners_share_nothing():
    assert chosen(slots([*SYSTEM, 7], [], owner="one"), prompt(9), owner="two") == (1, None, 0)


def test_what_a_window_forgot_is_not_used():
    assert chosen(slots([*SYSTEM, 7], []), prompt(9), usable=False) == (1, None, 0)


def test_recurrent_models_share_nothing_between_slots():
    assert chosen(slots([*SYSTEM, 7], [], busy=(0,)), prompt(9), shared=False) == (1, None, 0)
    assert chosen(slots([*SYSTEM, 7], []), prompt(9), shared=False) == (0, 0, 100)
