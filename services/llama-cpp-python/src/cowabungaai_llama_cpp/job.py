# SPDX-License-Identifier: Apache-2.0
"""What the engine works on, and how its pieces come back to the event loop."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field

from cowabungaai_llama_cpp.sampler import Likelihood, SamplingOptions


@dataclass(frozen=True, slots=True)
class Job:
    """One prompt, and how it is to be continued.

    Args:
        prompt: tokens, at least one, all of the vocabulary; prompt and answer fit the context.
        options: how tokens are chosen.
        seeds: of each answer; one answer a seed.
        max_tokens: the most tokens of an answer.
        stops: sequences that end an answer.
        grammar: in GBNF; None where anything may be said.
        top_logprobs: how many likely tokens to name with each token; None: no log probabilities.
        scores_prompt: whether the prompt's own tokens have log probabilities, too.
        shows_special: whether control tokens are part of the text, but for those that end it.
        owner: with whose prompts the cache may be shared.
    """

    prompt: list[int]
    options: SamplingOptions
    seeds: Sequence[int]
    max_tokens: int
    stops: Sequence[str] = ()
    grammar: str | None = None
    top_logprobs: int | None = None
    scores_prompt: bool = False
    shows_special: bool = False
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of one answer.

    Args:
        index: which answer.
        text: text to append.
        likelihoods: of the tokens of which it is made.
        ended: `stop` or `length` in an answer's last piece.
    """

    index: int
    text: str = ""
    likelihoods: Sequence[Likelihood] = ()
    ended: str | None = None


@dataclass(frozen=True, slots=True)
class PromptScores:
    """The log probabilities of a prompt's tokens, the first one left out; comes before the answers' pieces."""

    likelihoods: Sequence[Likelihood]


@dataclass(frozen=True, slots=True)
class Totals:
    """What a job used; its last piece.

    Args:
        generated: tokens of all answers.
        cached: tokens of the prompt that the cache held.
    """

    generated: int
    cached: int


Part = Piece | PromptScores | Totals


@dataclass(slots=True, eq=False)
class Ticket:
    """A job in the engine. The engine's thread writes, the event loop reads.

    Args:
        job: what to do.
        loop: where the reader is.
        cancelled: set by the reader; the engine then drops the job.
        left: how many of its answers have not ended.
        generated: tokens of its answers so far.
        cached: see Totals.
    """

    job: Job
    loop: asyncio.AbstractEventLoop
    cancelled: bool = False
    left: int = 0
    generated: int = 0
    cached: int = 0
    _arrived: deque[Part | Exception] = field(default_factory=deque)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def arrive(self, parts: list[Part | Exception]) -> None:
        """Takes pieces, on the event loop.

        Args:
            parts: in order.
        """
        self._arrived.extend(parts)
        self._wake.set()

    async def parts(self) -> AsyncGenerator[Part, None]:
        """Yields the pieces until the totals.

        Raises:
            Exception: why the engine could not finish.
        """
        while True:
            while self._arrived:
                part = self._arrived.popleft()
                if isinstance(part, Exception):
                    raise part
                yield part
                if isinstance(part, Totals):
                    return
            self._wake.clear()
            await self._wake.wait()
