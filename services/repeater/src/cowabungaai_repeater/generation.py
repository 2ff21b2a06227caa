# SPDX-License-Identifier: Apache-2.0
"""What ends a text: max_tokens, min_tokens and stop sequences; and the log probabilities of its tokens."""

import hashlib
import math
from dataclasses import dataclass

from cowabungaai_repeater.tokens import lengthened, tokens
from cowabungaai_sdk.v1.common_pb2 import (
    FINISH_REASON_LENGTH,
    FINISH_REASON_STOP,
    FinishReason,
    Sampling,
    TokenLogprob,
    TopLogprob,
)


@dataclass(frozen=True, slots=True)
class Generated:
    """A text as it is generated.

    Args:
        tokens: its tokens, the last one maybe cut by a stop sequence.
        finish_reason: why it ended.
    """

    tokens: list[str]
    finish_reason: FinishReason


def generate(whole: list[str], sampling: Sampling, room: int | None, count: int | None = None) -> Generated:
    """Ends a text where the request says.

    Args:
        whole: the text's tokens.
        sampling: has min_tokens and the stop sequences, which count from min_tokens on.
        room: the most tokens; None means no limit.
        count: how many tokens the text is to have; None means as many as it has.
    """
    wanted = max(len(whole) if count is None else count, sampling.min_tokens)
    if wanted > len(whole) or count is not None:
        whole = lengthened(whole, wanted if room is None else min(wanted, room))
    kept = whole[:room]
    if sampling.stop:
        text = "".join(kept)
        earliest = len("".join(kept[: sampling.min_tokens]))
        found = [text.find(stop, max(0, earliest - len(stop) + 1)) for stop in sampling.stop]
        if cuts := [position for position in found if position >= 0]:
            return Generated(tokens(text[: min(cuts)]), FINISH_REASON_STOP)
    return Generated(kept, FINISH_REASON_LENGTH if len(kept) < wanted else FINISH_REASON_STOP)


def logprob(token: str, position: int, top: int, known: bool = True) -> TokenLogprob:
    """A token's log probability, derived from its hash; it is the likeliest of its alternatives.

    Args:
        token: the token's text.
        position: where it stands; the same token has other probabilities elsewhere.
        top: how many likely tokens are shown.
        known: whether there is a probability; the first token of a prompt has none.
    """
    data = token.encode()
    seed = hashlib.sha256(data + position.to_bytes(8, "little")).digest()
    probability = 0.5 + seed[0] / 512
    found = TokenLogprob(token=token, token_bytes=data, logprob=math.log(probability) if known else None)
    if not known:
        return found
    # Half of what is left for each further one: they are in order, and their sum stays below 1.
    texts = [token, *(f" {seed[rank : rank + 2].hex()}{rank}" for rank in range(1, top))][:top]
    left = 1 - probability
    for rank, text in enumerate(texts):
        share = probability if rank == 0 else left / 2**rank
        found.top.append(TopLogprob(token=text, token_bytes=text.encode(), logprob=math.log(share)))
    return found
