# SPDX-License-Identifier: Apache-2.0
"""Which sequence of the engine takes a prompt, and how much of the prompt some sequence already holds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Slot:
    """One of the engine's sequences.

    Args:
        sequence: its number for llama.cpp.
        tokens: what the attention's cache holds of it.
        owner: for whom they were read; other owners do not see, not even by time, what is held.
        busy: whether an answer is being generated in it.
        used: when it was taken last, counted in takings.
    """

    sequence: int
    tokens: list[int] = field(default_factory=list)
    owner: str = ""
    busy: bool = False
    used: int = 0


@dataclass(frozen=True, slots=True)
class Choice:
    """Where a prompt goes.

    Args:
        slot: the free slot that takes it.
        source: the slot whose beginning is used, which may be the same; None where nothing is.
        length: how many tokens of it.
    """

    slot: Slot
    source: Slot | None = None
    length: int = 0


REREAD = 16
"""How many tokens of a prompt are read in any case, and at the least in one step.

The last one's logits are needed. And llama.cpp adds up in another order for a few tokens (measured: less than 8) than
for many, so that an answer would depend on how much of its prompt the cache held.
"""


def common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens two sequences have in common at their beginnings.

    Args:
        first: either.
        second: the other.
    """
    low, high = 0, min(len(first), len(second))
    # Comparing slices is a loop in C: halving the range is far faster than a loop over tokens in Python.
    while low < high:
        middle = (low + high + 1) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def choose(
    slots: Sequence[Slot],
    prompt: Sequence[int],
    owner: str,
    usable: Callable[[Slot, int], bool],
    *,
    shared: bool,
) -> Choice | None:
    """Chooses the slot for a prompt, so that as much as possible of it need not be read again.

    A slot of which most is used again goes on where it is. Otherwise the slot that has been free for the longest time
    is taken, and the longest beginning that any slot holds, be it busy, is shared with it.

    Args:
        slots: all slots.
        prompt: the prompt's tokens; the last ones are always read again.
        owner: for whom.
        usable: whether the first so many tokens of a slot can be gone on from.
        shared: whether the beginning of one slot can be used in another one.

    Returns:
        The choice; None where no slot is free.
    """
    free = [slot for slot in slots if not slot.busy]
    if not free:
        return None
    limit = max(0, len(prompt) - REREAD)
    lengths = {
        slot.sequence: min(limit, common_prefix(slot.tokens, prompt)) if slot.owner == owner else 0 for slot in slots
    }
    held = [slot for slot in slots if lengths[slot.sequence] and usable(slot, lengths[slot.sequence])]
    held.sort(key=lambda slot: lengths[slot.sequence], reverse=True)
    best = next(iter(held), None)
    if best is not None:
        length = lengths[best.sequence]
        same = [slot for slot in held if not slot.busy and lengths[slot.sequence] == length]
        if same and (not shared or any(2 * length >= len(slot.tokens) for slot in same)):
            slot = min(same, key=lambda slot: len(slot.tokens))
            return Choice(slot, slot, length)
    if not shared:
        own = next((slot for slot in held if not slot.busy), None)
        if own is not None:
            return Choice(own, own, lengths[own.sequence])
        best = None
    oldest = min(free, key=lambda slot: (bool(slot.tokens), slot.used))
    if best is None:
        return Choice(oldest)
    if oldest is best:
        return Choice(best, best, lengths[best.sequence])
    return Choice(oldest, best, lengths[best.sequence])
