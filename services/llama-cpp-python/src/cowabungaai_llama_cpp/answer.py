# SPDX-License-Identifier: Apache-2.0
"""One answer in the making."""

from cowabungaai_llama_cpp.context import SCORED, Chunk
from cowabungaai_llama_cpp.job import Ticket
from cowabungaai_llama_cpp.sampler import Likelihood, Sampler
from cowabungaai_llama_cpp.slots import REREAD, Slot
from cowabungaai_llama_cpp.text import TextStream

LEAST = 2 * REREAD
"""The least room for a piece of a prompt."""


class Answer:
    """One answer in the making, in a slot.

    Args:
        ticket: of its job.
        index: which of the job's answers.
        slot: where.
        sampler: chooses its tokens.
        read: how many of the prompt's tokens the slot holds.
    """

    def __init__(self, ticket: Ticket, index: int, slot: Slot, sampler: Sampler, read: int) -> None:
        self.ticket = ticket
        self.job = ticket.job
        self.index = index
        self.slot = slot
        self.sampler = sampler
        self.text: TextStream[Likelihood] = TextStream(self.job.stops)
        self.read = read
        self.generated = 0
        self.scores: list[Likelihood] = []
        self.next: int | None = None

    @property
    def reads(self) -> bool:
        """Whether the prompt is still being read."""
        return self.next is None

    @property
    def scored(self) -> bool:
        """Whether the prompt's tokens get log probabilities while they are read."""
        return self.job.scores_prompt and self.index == 0

    def chunk(self, room: int) -> Chunk:
        """What of it the next step decodes.

        Args:
            room: at most that many tokens, at least LEAST.
        """
        position = len(self.slot.tokens)
        if self.next is not None:
            return Chunk(self.slot.sequence, position, (self.next,), last=True)
        prompt = self.job.prompt
        size = min(room, SCORED) if self.scored else room
        left = len(prompt) - self.read
        if size < left < size + REREAD:
            # A few tokens are never read by themselves.
            size = max(left - REREAD, left // 2)
        tokens = prompt[self.read : self.read + size]
        last = self.read + len(tokens) == len(prompt)
        return Chunk(self.slot.sequence, position, tokens, scored=self.scored, last=last)
