"""What an engine is: it makes vectors of tokens, one batch at a time."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.int32]


class Engine(Protocol):
    """A loaded model. Its methods block, and may be called on several threads at once."""

    def vectors(self, texts: Sequence[Tokens]) -> NDArray[np.float32]:
        """Embeds a batch.

        Args:
            texts: their tokens, special ones included; at least one text, and in each at least one token.

        Returns:
            [texts, dimensions], as the model's modules make them.
        """


def padded(texts: Sequence[Tokens], padding: int) -> tuple[Tokens, Tokens]:
    """Texts of different lengths as one array.

    Args:
        texts: their tokens.
        padding: the token that fills up the shorter ones, on the right.

    Returns:
        Tokens and mask, both [texts, tokens]; the mask is 1 where there is a token.
    """
    longest = max(map(len, texts))
    ids = np.full((len(texts), longest), padding, np.int32)
    mask = np.zeros_like(ids)
    for row, tokens in enumerate(texts):
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
    return ids, mask
