# SPDX-License-Identifier: Apache-2.0
"""How one sequence's next token is chosen: penalties, temperature and filters, a grammar, and log probabilities."""

import ctypes
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cowabungaai_llama_cpp.binding import errors, library
from cowabungaai_llama_cpp.candidates import Candidates
from cowabungaai_llama_cpp.weights import Weights

RANDOM_SEED = 0xFFFFFFFF
"""The seed that llama.cpp takes as `choose one`."""


COLDEST = 0.001
"""Lower temperatures take the likeliest token: logits divided by less leave the range of float32."""


class GrammarError(Exception):
    """llama.cpp cannot read a grammar."""


class DeadEndError(Exception):
    """The grammar allows no token of the vocabulary here, not even an end."""


@dataclass(frozen=True, slots=True)
class SamplingOptions:
    """How tokens are chosen. The defaults are OpenAI's.

    Args:
        temperature: 0 takes the likeliest token.
        top_k: only that many of the likeliest; 0 means all.
        top_p: only the likeliest that together have this probability.
        min_p: only those that have this share of the likeliest one's probability.
        frequency_penalty: taken off a logit for each time that the token is in the answer.
        presence_penalty: taken off a logit where the token is in the answer.
        repetition_penalty: divides the logits of tokens that are in the prompt or the answer.
        logit_bias: added to logits, by token.
        min_tokens: as long as the answer has fewer, it does not end.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    repetition_penalty: float = 1.0
    logit_bias: tuple[tuple[int, float], ...] = ()
    min_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Likelihood:
    """A token's probability under the model itself, before bias, penalties, temperature and grammar.

    Args:
        token: its id.
        logprob: natural logarithm.
        top: the likeliest tokens there with theirs, likeliest first.
    """

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()


class Sampler:
    """Chooses the tokens of one sequence. For one thread; close it.

    Args:
        weights: whose vocabulary.
        options: how to choose.
        seed: of the random numbers, below 2**32.
        prompt: the prompt's tokens, for repetition_penalty.
        room: the most tokens that the sequence will have, prompt included.
        grammar: in GBNF, with the rule `root`; None means that anything may be said.

    Raises:
        GrammarError: llama.cpp cannot read the grammar.
    """

    def __init__(
        self,
        weights: Weights,
        options: SamplingOptions,
        seed: int,
        prompt: Sequence[int],
        room: int,
        grammar: str | None = None,
    ) -> None:
        self._c = library()
        self._weights = weights
        self._generated = 0
        self._min_tokens = options.min_tokens
        self._grammar = self._make_grammar(grammar) if grammar is not None else None
        self._chain = self._c.llama_sampler_chain_init(self._c.llama_sampler_chain_default_params())
        self._one = (self._c.llama_token_data * 1)()
        if options.min_tokens:
            self._add_bias([(token, -math.inf) for token in weights.end_tokens])
        self._add_own(options, prompt, room)
        self._add_choice(options, seed)

    def sample(self, context: Any, row: int, candidates: Candidates) -> int:
        """Chooses the next token.

        Args:
            context: llama.cpp's context.
            row: the last token's place in the last batch.
            candidates: shows them; used with a grammar only.

        Raises:
            DeadEndError: the grammar allows none.
        """
        if self._grammar is None:
            token = int(self._c.llama_sampler_sample(self._chain, context, row))
        else:
            token = self._sample_allowed(context, row, candidates)
            self._c.llama_sampler_accept(self._chain, token)
            self._c.llama_sampler_accept(self._grammar, token)
        self._generated += 1
        if self._min_tokens and self._generated == self._min_tokens:
            self._c.llama_sampler_free(self._c.llama_sampler_chain_remove(self._chain, 0))
        return token

    def close(self) -> None:
        """Frees what llama.cpp holds for it."""
        if self._chain:
            self._c.llama_sampler_free(self._chain)
            self._chain = None
        if self._grammar:
            self._c.llama_sampler_free(self._grammar)
            self._grammar = None

    def _sample_allowed(self, context: Any, row: int, candidates: Candidates) -> int:
        """Chooses a token that the grammar allows.

        Most that the model chooses are allowed: all others are looked at only where one is not, since that takes longer
        than the model itself.
        """
        token = self._selected(context, row, candidates, constrained=False)
        if self._allowed(token):
            return token
        token = self._selected(context, row, candidates, constrained=True)
        if self._allowed(token):
            return token
        # min_tokens may forbid the end where the grammar allows nothing else.
        end = next((token for token in self._weights.end_tokens if self._allowed(token)), None)
        if end is None:
            raise DeadEndError
        return end

    def _selected(self, context: Any, row: int, candidates: Candidates, constrained: bool) -> int:
        found = -1

        def work(array: Any) -> None:
            nonlocal found
            if constrained:
                self._c.llama_sampler_apply(self._grammar, array)
            self._c.llama_sampler_apply(self._chain, array)
            selected = array.contents.selected
            if 0 <= selected < array.contents.size:
                found = array.contents.data[selected].id

        candidates.visit(context, row, work)
        return found

    def _allowed(self, token: int) -> bool:
        """Whether the grammar allows a token here. It ends the process where it is given one that it does not allow."""
        if token < 0:
            return False
        self._one[0].id, self._one[0].logit, self._one[0].p = token, 0.0, 0.0
        array = self._c.llama_token_data_array(data=self._one, size=1, selected=-1, sorted=False)
        self._c.llama_sampler_apply(self._grammar, ctypes.byref(array))
        return bool(self._one[0].logit == 0.0)

    def _make_grammar(self, grammar: str) -> Any:
        errors.take()
        found = self._c.llama_sampler_init_grammar(self._weights.vocab, grammar.encode(errors="replace"), b"root")
        if not found:
            # The lines may quote the grammar, so they go no further than to the caller, whose grammar it is.
            raise GrammarError("; ".join(errors.take())[:400] or "no reason given")
        return found

    def _add(self, sampler: Any) -> None:
        self._c.llama_sampler_chain_add(self._chain, sampler)

    def _add_bias(self, biases: Sequence[tuple[int, float]]) -> None:
        array = (self._c.llama_logit_bias * len(biases))(*biases)
        self._add(self._c.llama_sampler_init_logit_bias(self._weights.vocab_size, len(biases), array))

    def _add_own(self, options: SamplingOptions, prompt: Sequence[int], room: int) -> None:
        """What changes logits by the tokens that there are already."""
        size = self._weights.vocab_size
        if options.logit_bias:
            self._add_bias(options.logit_bias)
        if options.repetition_penalty != 1.0:
            penalties = self._c.llama_sampler_init_penalties(size, room, options.repetition_penalty, 0.0, 0.0)
            for token in set(prompt):
                self._c.llama_sampler_accept(penalties, token)
            self._add(penalties)
        if options.frequency_penalty or options.presence_penalty:
            frequency, presence = options.frequency_penalty, options.presence_penalty
            self._add(self._c.llama_sampler_init_penalties(size, room, 1.0, frequency, presence))

    def _add_choice(self, options: SamplingOptions, seed: int) -> None:
        c = self._c
        if options.temperature < COLDEST or options.top_k == 1:
            self._add(c.llama_sampler_init_greedy())
            return
        if options.temperature != 1.0:
            self._add(c.llama_sampler_init_temp(options.temperature))
        if options.top_k:
            self._add(c.llama_sampler_init_top_k(min(options.top_k, self._weights.vocab_size)))
        if options.top_p < 1.0:
            self._add(c.llama_sampler_init_top_p(options.top_p, 1))
        if options.min_p > 0.0:
            self._add(c.llama_sampler_init_min_p(options.min_p, 1))
        self._add(c.llama_sampler_init_dist(seed if seed != RANDOM_SEED else RANDOM_SEED - 1))


class Likelihoods:
    """Reads log probabilities out of logits. For one thread; close it."""

    def __init__(self) -> None:
        self._c = library()
        # Its work is the softmax; the token that it chooses is not looked at.
        self._softmax = self._c.llama_sampler_init_dist(0)
        self._best: dict[int, Any] = {}

    def read(self, context: Any, row: int, candidates: Candidates, token: int, top: int) -> Likelihood:
        """The log probability of a token that follows another.

        Args:
            context: llama.cpp's context.
            row: the other's place in the last batch.
            candidates: shows what may follow.
            token: which token's.
            top: how many of the likeliest tokens to name.
        """
        logprob = -math.inf
        likeliest: list[tuple[int, float]] = []

        def work(array: Any) -> None:
            nonlocal logprob
            self._c.llama_sampler_apply(self._softmax, array)
            logit = array.contents.data[token].logit
            self._c.llama_sampler_apply(self._sorter(max(1, top)), array)
            first = array.contents.data[0]
            # By the distance to the likeliest one: small probabilities would be 0 as float32.
            base = math.log(first.p) - first.logit
            logprob = logit + base
            for rank in range(min(top, array.contents.size)):
                entry = array.contents.data[rank]
                likeliest.append((entry.id, min(0.0, entry.logit + base)))

        candidates.visit(context, row, work)
        return Likelihood(token, min(0.0, logprob), tuple(likeliest))

    def close(self) -> None:
        """Frees what llama.cpp holds for it."""
        for sampler in (self._softmax, *self._best.values()):
            if sampler:
                self._c.llama_sampler_free(sampler)
        self._softmax, self._best = None, {}

    def _sorter(self, count: int) -> Any:
        if count not in self._best:
            self._best[count] = self._c.llama_sampler_init_top_k(count)
        return self._best[count]
