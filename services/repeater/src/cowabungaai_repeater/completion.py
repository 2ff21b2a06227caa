# SPDX-License-Identifier: Apache-2.0
"""Continuations: the echo of each prompt."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from cowabungaai_repeater.config import RepeaterConfig
from cowabungaai_repeater.control import Control, parse
from cowabungaai_repeater.generation import Generated, generate, logprob
from cowabungaai_repeater.tokens import input_tokens, tokens
from cowabungaai_sdk.backend import CompletionDelta
from cowabungaai_sdk.v1.common_pb2 import TextInput, TokenLogprob, Usage
from cowabungaai_sdk.v1.completion_pb2 import CompletionRequest

BREATH = 64
"""After how many pieces without a wait other calls get their turn."""


@dataclass(frozen=True, slots=True)
class Continuation:
    """One prompt and its answer.

    Args:
        prompt: the prompt's tokens, controls left out.
        prompt_tokens: how many tokens were read: prompt, controls and suffix.
        generated: the answer.
        control: what the prompt's controls say.
    """

    prompt: list[str]
    prompt_tokens: int
    generated: Generated
    control: Control


async def continue_prompts(
    request: CompletionRequest, config: RepeaterConfig, defaults: Control
) -> AsyncGenerator[CompletionDelta, None]:
    """Continues the prompts one after the other, each one's choices alike and side by side.

    Args:
        request: the prompts.
        config: has the context's length.
        defaults: what holds where a prompt has no control.

    Raises:
        InvalidRequestError: a control is wrong, or the context is too short.
    """
    found = [
        _continuation(request, prompt, f"prompts[{index}]", config, defaults)
        for index, prompt in enumerate(request.prompts)
    ]
    n = request.n if request.HasField("n") else 1
    generated_each = max(n, request.best_of)
    usage = Usage(
        prompt_tokens=sum(item.prompt_tokens for item in found),
        completion_tokens=sum(len(item.generated.tokens) for item in found) * generated_each,
    )
    for number, item in enumerate(found):
        choices = range(number * n, (number + 1) * n)
        pieces = _pieces(request, item)
        for position, (text, logprobs) in enumerate(pieces):
            await item.control.pace(position)
            if position % BREATH == BREATH - 1:
                await asyncio.sleep(0)
            for index in choices:
                yield CompletionDelta(text, index=index, logprobs=logprobs)
        await item.control.fail_at_end(len(pieces))
        reason = item.generated.finish_reason if item.control.finish is None else item.control.finish
        for index in choices:
            last = item.control.usage and index == len(found) * n - 1
            yield CompletionDelta(finish_reason=reason, index=index, usage=usage if last else None)


def _continuation(
    request: CompletionRequest, prompt: TextInput, param: str, config: RepeaterConfig, defaults: Control
) -> Continuation:
    control, whole = defaults, input_tokens(prompt)
    prompt_tokens = len(whole) + len(tokens(request.suffix))
    if prompt.WhichOneof("input") == "text":
        text, control = parse(prompt.text, defaults, param)
        whole = tokens(text)
    limit = request.sampling.max_tokens if request.sampling.HasField("max_tokens") else None
    room = config.room(prompt_tokens, limit, param)
    return Continuation(whole, prompt_tokens, generate(whole, request.sampling, room, control.tokens), control)


def _pieces(request: CompletionRequest, item: Continuation) -> list[tuple[str, list[TokenLogprob]]]:
    """The texts to send, one a token, with their log probabilities where they are asked for."""
    echoed = item.prompt if request.echo else []
    texts = [*echoed, *item.generated.tokens]
    if not request.HasField("logprobs"):
        return [(text, []) for text in texts]
    return [
        (text, [logprob(text, position, request.logprobs, known=position > 0 or not echoed)])
        for position, text in enumerate(texts)
    ]
