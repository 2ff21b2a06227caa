# SPDX-License-Identifier: Apache-2.0
"""Prompts continued: the engine's output as pieces of continuations."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from cowabungaai_sdk.backend import CompletionDelta
from cowabungaai_sdk.errors import InvalidRequestError
from cowabungaai_sdk.v1.common_pb2 import TokenLogprob
from cowabungaai_sdk.v1.completion_pb2 import CompletionRequest
from cowabungaai_vllm.generation import Counter, Runner, reason_of
from cowabungaai_vllm.logprobs import tokens_of
from cowabungaai_vllm.prompts import Prompts
from cowabungaai_vllm.sampling import completion_fields


class Completion:
    """Continues prompts, one after the other.

    Args:
        runner: has the engine.
        prompts: makes texts of tokens again, for `echo`.
    """

    def __init__(self, runner: Runner, prompts: Prompts) -> None:
        self._runner = runner
        self._prompts = prompts

    async def continue_prompts(
        self, request: CompletionRequest, prompts: list[list[int]], adapter: Any
    ) -> AsyncGenerator[CompletionDelta, None]:
        """Continues prompts piece by piece; with `best_of`, choice by choice.

        Args:
            request: the prompts and their parameters.
            prompts: the prompts as token ids.
            adapter: vLLM's LoRARequest; None for the model itself.

        Raises:
            InvalidRequestError: the engine cannot do what is asked for.
        """
        if request.HasField("suffix"):
            raise InvalidRequestError("this backend fills nothing in; expected no suffix", "suffix")
        wanted = request.n if request.HasField("n") else 1
        best_of = request.HasField("best_of") and request.best_of > wanted
        parameters = self._runner.parameters(completion_fields(request), None, whole=best_of)
        counter = Counter()
        for position, ids in enumerate(prompts):
            outputs = self._runner.outputs(ids, parameters, adapter, request.user, counter)
            left = wanted
            async with aclosing(self._one(request, ids, outputs, wanted if best_of else None)) as deltas:
                async for delta in deltas:
                    if delta.finish_reason is not None:
                        left -= 1
                    ended = not left and position == len(prompts) - 1
                    moved = replace(delta, index=position * wanted + delta.index)
                    yield replace(moved, usage=counter.usage()) if ended else moved

    async def _one(
        self, request: CompletionRequest, ids: list[int], outputs: AsyncGenerator[Any, None], best: int | None
    ) -> AsyncGenerator[CompletionDelta, None]:
        begun: set[int] = set()
        async with aclosing(outputs):
            async for output in outputs:
                for index, one in _numbered(output.outputs, best):
                    if request.echo and index not in begun:
                        yield self._echo(request, ids, output, index)
                    begun.add(index)
                    logprobs: list[TokenLogprob] = []
                    if request.HasField("logprobs") and one.logprobs is not None:
                        logprobs = tokens_of(one.token_ids, one.logprobs, request.logprobs)
                    yield CompletionDelta(text=one.text, finish_reason=reason_of(one), index=index, logprobs=logprobs)

    def _echo(self, request: CompletionRequest, ids: list[int], output: Any, index: int) -> CompletionDelta:
        logprobs: list[TokenLogprob] = []
        if request.HasField("logprobs") and output.prompt_logprobs is not None:
            logprobs = tokens_of(ids, output.prompt_logprobs, request.logprobs)
        return CompletionDelta(text=self._prompts.decode(ids), index=index, logprobs=logprobs)


def _numbered(outputs: list[Any], best: int | None) -> list[tuple[int, Any]]:
    """Answers with their numbers; where given, only the `best` likeliest by the mean over their tokens."""
    if best is None:
        return [(one.index, one) for one in outputs]
    ranked = sorted(outputs, key=lambda one: -(one.cumulative_logprob or 0.0) / max(1, len(one.token_ids)))
    return list(enumerate(ranked[:best]))
