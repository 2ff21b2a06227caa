# SPDX-License-Identifier: Apache-2.0
"""The parameters of requests, checked and with their defaults: nothing reaches llama.cpp that it would end on."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from cowabungaai_llama_cpp.sampler import Likelihood, SamplingOptions
from cowabungaai_llama_cpp.weights import Weights
from cowabungaai_sdk.errors import InvalidRequestError
from cowabungaai_sdk.v1.common_pb2 import Sampling, TextInput, TokenLogprob, TopLogprob

MAX_STOPS = 64
MAX_STOP = 1024
"""The most characters of a stop sequence."""
SEEDS = 0xFFFFFFFE
"""How many seeds there are."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a model's requests may hold.

    Args:
        weights: the model.
        length: the context's length, in tokens.
    """

    weights: Weights
    length: int

    @property
    def text_bytes(self) -> int:
        """The most bytes of text that may fit the context; what has more need not be looked at."""
        return self.length * self.weights.longest_token


def options(sampling: Sampling, weights: Weights) -> SamplingOptions:
    """How tokens are to be chosen.

    Args:
        sampling: checked by the SDK.
        weights: whose vocabulary.

    Raises:
        InvalidRequestError: a token is none of the vocabulary.
    """
    unset = SamplingOptions()
    for token in sampling.logit_bias:
        if token >= weights.vocab_size:
            message = f"logit_bias names the token {token}; expected ids below {weights.vocab_size}"
            raise InvalidRequestError(message, "logit_bias")
    given = {
        name: getattr(sampling, name)
        for name in (
            "temperature",
            "top_k",
            "top_p",
            "min_p",
            "frequency_penalty",
            "presence_penalty",
            "repetition_penalty",
            "min_tokens",
        )
        if sampling.HasField(name)
    }
    values = {name: given.get(name, getattr(unset, name)) for name in SamplingOptions.__slots__ if name != "logit_bias"}
    return SamplingOptions(logit_bias=tuple(sorted(sampling.logit_bias.items())), **values)


def stops(sampling: Sampling) -> tuple[str, ...]:
    """The sequences that end an answer.

    Args:
        sampling: checked by the SDK.

    Raises:
        InvalidRequestError: there are too many, or one is too long.
    """
    if len(sampling.stop) > MAX_STOPS or any(len(stop) > MAX_STOP for stop in sampling.stop):
        raise InvalidRequestError(f"stop holds too much; expected at most {MAX_STOPS} of {MAX_STOP} characters", "stop")
    return tuple(sampling.stop)


def seeds(sampling: Sampling, count: int) -> Sequence[int]:
    """A seed for each answer: the same ones for the same seed, and all of them different.

    Args:
        sampling: has the seed; without one they are random.
        count: how many.
    """
    first = sampling.seed if sampling.HasField("seed") else secrets.randbelow(SEEDS)
    # A large odd step, so that neighbouring seeds have no answer in common.
    return [(first + index * 0x9E3779B1) % SEEDS for index in range(count)]


def room(limits: Limits, prompt: int, sampling: Sampling, param: str) -> int:
    """How many tokens an answer may have.

    Args:
        limits: has the context's length.
        prompt: the prompt's tokens.
        sampling: may have max_tokens.
        param: the parameter that has the prompt.

    Raises:
        InvalidRequestError: prompt and answer do not fit the context.
    """
    wanted = sampling.max_tokens if sampling.HasField("max_tokens") else None
    total = prompt + (1 if wanted is None else wanted)
    if total > limits.length:
        answer = "an answer" if wanted is None else f"the {wanted} of max_tokens"
        message = f"the {prompt} tokens of {param} and {answer} exceed the context of {limits.length} tokens"
        raise InvalidRequestError(message, param, "context_length_exceeded")
    left = limits.length - prompt if wanted is None else wanted
    if sampling.min_tokens > left:
        message = f"min_tokens is {sampling.min_tokens}, and the context has room for {left}"
        raise InvalidRequestError(message, "min_tokens")
    return left


def check_text(limits: Limits, text: str, param: str) -> None:
    """Refuses a text that cannot fit the context for certain, before it is split into tokens.

    Args:
        limits: what fits.
        text: the text.
        param: the parameter that has it.

    Raises:
        InvalidRequestError: it is too long.
    """
    if len(text) > limits.text_bytes:
        message = f"{param} has {len(text)} characters, which exceed the context of {limits.length} tokens"
        raise InvalidRequestError(message, param, "context_length_exceeded")


def tokens_of(limits: Limits, given: TextInput, param: str) -> list[int]:
    """A prompt's tokens, at least one.

    Args:
        limits: what fits.
        given: a text, or tokens, which are taken as they are.
        param: the parameter that has it.

    Raises:
        InvalidRequestError: a token is none of the vocabulary, or the text is too long, or empty for this model.
    """
    weights = limits.weights
    if given.WhichOneof("input") == "tokens":
        ids = list(given.tokens.ids)
        if (largest := max(ids)) >= weights.vocab_size:
            raise InvalidRequestError(
                f"{param} has the token {largest}; expected ids below {weights.vocab_size}", param
            )
        return ids
    check_text(limits, given.text, param)
    found = weights.tokenize(given.text, add_special=True, parse_special=True)
    if not found:
        start = weights.bos if weights.bos >= 0 else weights.eos
        if start < 0:
            raise InvalidRequestError(f"{param} is empty, and the model has no token to begin with", param)
        found = [start]
    return found


def logprob(weights: Weights, found: Likelihood, top: int) -> TokenLogprob:
    """A token's log probability as the contract has it.

    Args:
        weights: whose vocabulary.
        found: as the engine found it.
        top: how many likely tokens to show.
    """
    data = weights.piece(found.token, special=True)
    shown = TokenLogprob(token=data.decode(errors="replace"), token_bytes=data, logprob=found.logprob)
    for token, value in found.top[:top]:
        data = weights.piece(token, special=True)
        shown.top.append(TopLogprob(token=data.decode(errors="replace"), token_bytes=data, logprob=value))
    return shown
