# SPDX-License-Identifier: Apache-2.0
"""From the vectors of tokens to the vector of a text: what sentence-transformers does after the transformer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Module = Callable[[Floats], Floats]


def mean(hidden: Floats, mask: Ints) -> Floats:
    """The tokens' mean.

    Args:
        hidden: [texts, tokens, width].
        mask: [texts, tokens], 1 where there is a token; all tokens stand before all padding.
    """
    weights = mask.astype(np.float32)
    return _weighted_sum(hidden, weights) / _counts(weights)


def mean_sqrt_len(hidden: Floats, mask: Ints) -> Floats:
    """The tokens' sum, divided by the square root of their number; see mean."""
    weights = mask.astype(np.float32)
    roots: Floats = np.sqrt(_counts(weights))
    return _weighted_sum(hidden, weights) / roots


def weightedmean(hidden: Floats, mask: Ints) -> Floats:
    """The tokens' mean, weighted by their positions from 1 on; see mean."""
    weights = mask.astype(np.float32) * np.arange(1, mask.shape[1] + 1, dtype=np.float32)
    return _weighted_sum(hidden, weights) / _counts(weights)


def largest(hidden: Floats, mask: Ints) -> Floats:
    """The largest number of each dimension; see mean."""
    found: Floats = np.where(mask[:, :, None] == 1, hidden, np.float32(-np.inf)).max(1)
    return found


def first(hidden: Floats, mask: Ints) -> Floats:
    """The first token; see mean."""
    found: Floats = hidden[:, 0]
    return found


def last(hidden: Floats, mask: Ints) -> Floats:
    """The last token; see mean."""
    found: Floats = hidden[np.arange(len(hidden)), mask.sum(1) - 1]
    return found


POOLINGS: dict[str, Callable[[Floats, Ints], Floats]] = {
    "cls": first,
    "max": largest,
    "mean": mean,
    "mean_sqrt_len_tokens": mean_sqrt_len,
    "weightedmean": weightedmean,
    "lasttoken": last,
}
"""By sentence-transformers' names."""


@dataclass(frozen=True, slots=True)
class Pooling:
    """One vector a text.

    Args:
        modes: keys of POOLINGS; the vectors of several stand one after the other.
    """

    modes: tuple[str, ...]

    def __call__(self, hidden: Floats, mask: Ints) -> Floats:
        """Pools; see mean."""
        found = [POOLINGS[mode](hidden, mask) for mode in self.modes]
        return found[0] if len(found) == 1 else np.concatenate(found, axis=1)


@dataclass(frozen=True, slots=True)
class Dense:
    """A linear layer and its activation.

    Args:
        weight: [out, in].
        bias: [out]; None where there is none.
        activation: a key of ACTIVATIONS.
    """

    weight: Floats
    bias: Floats | None
    activation: str

    def __call__(self, vectors: Floats) -> Floats:
        """Applies it to [texts, in]."""
        found: Floats = vectors @ self.weight.T
        if self.bias is not None:
            found += self.bias
        return ACTIVATIONS[self.activation](found)


def normalize(vectors: Floats) -> Floats:
    """Makes vectors unit vectors; a vector of zeros stays one.

    Args:
        vectors: [texts, width].
    """
    lengths: Floats = np.linalg.norm(vectors, axis=1, keepdims=True).astype(np.float32)
    return np.divide(vectors, np.maximum(lengths, np.float32(1e-12)), dtype=np.float32)


ACTIVATIONS: dict[str, Module] = {
    "Identity": lambda found: found,
    "Tanh": np.tanh,
    "ReLU": lambda found: np.maximum(found, np.float32(0)),
    "Sigmoid": lambda found: np.float32(1) / (np.float32(1) + np.exp(-found)),
}
"""By the names of torch's classes."""


def apply(pooling: Pooling, modules: Sequence[Module], hidden: Floats, mask: Ints) -> Floats:
    """Makes the vectors of texts from those of their tokens; see mean.

    Args:
        pooling: comes first.
        modules: come then, in their order.
        hidden: [texts, tokens, width].
        mask: [texts, tokens].
    """
    found = pooling(hidden, mask)
    for module in modules:
        found = module(found)
    return found


def _weighted_sum(hidden: Floats, weights: Floats) -> Floats:
    # A matrix product: no copy of the tokens is made.
    found: Floats = np.matmul(weights[:, None, :], hidden)[:, 0]
    return found


def _counts(weights: Floats) -> Floats:
    """The sum of each text's weights, [texts, 1]; never 0, so that it can be divided by."""
    found: Floats = weights.sum(1, keepdims=True)
    return np.maximum(found, np.float32(1e-9))
