# SPDX-License-Identifier: Apache-2.0
"""What an engine is: it makes vectors of tokens, one batch at a time."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cowabungaai_sdk.models import ModelError
from cowabungaai_text_embeddings.folder import Folder

Tokens = NDArray[np.int32]

IDS, MASK, HIDDEN = "input_ids", "attention_mask", "last_hidden_state"
"""An encoder's inputs, integers [texts, tokens]: tokens, and 1 where there is one. Its output, floats [texts, tokens,
width]. Exporters use these names, and so does the converter."""


class Engine(Protocol):
    """A loaded model. Its methods block, and may be called on several threads at once."""

    def vectors(self, texts: Sequence[Tokens]) -> NDArray[np.float32]:
        """Embeds a batch.

        Args:
            texts: their tokens, special ones included; at least one text, and in each at least one token.

        Returns:
            [texts, dimensions], as the model's modules make them.
        """


def check(engine: Engine, folder: Folder) -> None:
    """Embeds a first text: what is wrong with shapes shows here, and not in a client's request.

    Args:
        engine: was made of the folder.
        folder: the model's.

    Raises:
        ModelError: the engine fails, or its vectors have another length than the configuration says.
    """
    try:
        width = engine.vectors([np.full(3, folder.padding, np.int32)]).shape[1]
    # Engines raise whatever they meet.
    except Exception as error:
        raise ModelError(f"{folder.path} does not work: {error}; its files may be of different models") from error
    if width != folder.dimensions:
        raise ModelError(
            f"{folder.path} makes vectors of {width} dimensions; its configuration says {folder.dimensions}"
        )


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
