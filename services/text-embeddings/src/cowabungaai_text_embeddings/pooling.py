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
    return _weighted_sum(hidden, weights) / np.maximum(weights.sum(1, keepdims=True), 1e-9)


def mean_sqrt_len(hidden: Floats, mask: Ints) -> Floats:
    """The tokens' sum, divided by the square root of their number; see mean."""
    weights = mask.astype(np.float32)
    return _weighted_sum(hidden, weights) / np.sqrt(np.maximum(weights.sum(1, keepdims=True), 1e-9))


def weightedmean(hidden: Floats, mask: Ints) -> Floats:
    """The tokens' mean, weighted by their positions from 1 on; see mean."""
    weights = mask * np.arange(1, mask.shape[1] + 1, dtype=np.float32)
    return _weighted_sum(hidden, weights) / np.maximum(weights.sum(1, keepdims=True), 1e-9)


def largest(hidden: Floats, mask: Ints) -> Floats:
    """The largest number of each dimension; see mean."""
    found: Floats = np.where(mask[:, :, None] == 1, hidden, np.float32(-np.inf)).max(1)
    return found


def first(hidden: Floats, mask: Ints) -> Floats:
    """The first token; see mean."""
    return hidden[:, 0]


def last(hidden: Floats, mask: Ints) -> Floats:
    """The last token; see mean."""
    return hidden[np.arange(len(hidden)), mask.sum(1) - 1]


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
            found = found + self.bias
        return ACTIVATIONS[self.activation](found)


def normalize(vectors: Floats) -> Floats:
    """Makes vectors unit vectors; a vector of zeros stays one.

    Args:
        vectors: [texts, width].
    """
    found: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return found


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
    return np.matmul(weights[:, None, :], hidden)[:, 0]
