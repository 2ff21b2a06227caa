# SPDX-License-Identifier: Apache-2.0
"""From vLLM's log probabilities to the contract's."""

from collections.abc import Mapping, Sequence
from typing import Any

from cowabungaai_sdk.v1.common_pb2 import TokenLogprob, TopLogprob


def tokens_of(ids: Sequence[int], positions: Sequence[Mapping[int, Any] | None], count: int) -> list[TokenLogprob]:
    """Log probabilities of tokens.

    Args:
        ids: the tokens.
        positions: for each, its candidates' vllm Logprob by id; None for the first token of a prompt.
        count: how many candidates are wanted; the engine adds the chosen token where it is none of them.
    """
    return [_token(number, position or {}, count) for number, position in zip(ids, positions, strict=True)]


def _token(number: int, position: Mapping[int, Any], count: int) -> TokenLogprob:
    ranked = sorted(position.values(), key=lambda one: -one.logprob)[:count]
    chosen = position.get(number)
    text = (chosen.decoded_token or "") if chosen else ""
    return TokenLogprob(
        token=text,
        logprob=chosen.logprob if chosen else None,
        token_bytes=text.encode(),
        top=[
            TopLogprob(
                token=one.decoded_token or "", logprob=one.logprob, token_bytes=(one.decoded_token or "").encode()
            )
            for one in ranked
        ],
    )
