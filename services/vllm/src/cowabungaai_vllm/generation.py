# SPDX-License-Identifier: Apache-2.0
"""Runs requests on the engine, and counts what they use."""

import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from cowabungaai_sdk.errors import BackendFailedError, BackendUnavailableError, InvalidRequestError
from cowabungaai_sdk.v1.common_pb2 import (
    FINISH_REASON_LENGTH,
    FINISH_REASON_STOP,
    FinishReason,
    Usage,
)
from cowabungaai_vllm.library import Engine, Library

REASONS = {
    "stop": FINISH_REASON_STOP,
    "length": FINISH_REASON_LENGTH,
    # The engine ended an answer that went in circles.
    "repetition": FINISH_REASON_STOP,
}


@dataclass(slots=True)
class Counter:
    """What requests have used so far."""

    prompt: int = 0
    cached: int | None = None
    completion: int = 0

    def usage(self) -> Usage:
        """As the contract has it."""
        return Usage(
            prompt_tokens=self.prompt, completion_tokens=self.completion, cached_prompt_tokens=self.cached or None
        )


@dataclass(frozen=True, slots=True)
class Runner:
    """Generates.

    Args:
        library: vLLM.
        engine: that runs.
    """

    library: Library
    engine: Engine

    async def outputs(
        self, ids: list[int], parameters: Any, adapter: Any, salt: str, counter: Counter
    ) -> AsyncGenerator[Any, None]:
        """Yields vLLM's RequestOutputs; leaving early aborts the request.

        Args:
            ids: the prompt.
            parameters: vLLM's SamplingParams.
            adapter: vLLM's LoRARequest; None for the model itself.
            salt: keeps apart whose prompts share a prefix cache; empty means all do.
            counter: is kept up to date.

        Raises:
            InvalidRequestError: the engine refuses the request.
            BackendUnavailableError: the engine has died.
            BackendFailedError: the engine gave the request up.
        """
        prompt = self.library.tokens_input(ids, cache_salt=salt or None)
        # Names a request in vLLM's own metrics and traces, and nowhere else.
        name = secrets.token_hex(16)
        counter.prompt += len(ids)
        cached = False
        try:
            async with aclosing(self.engine.generate(prompt, parameters, name, lora_request=adapter)) as outputs:
                async for output in outputs:
                    if not cached and output.num_cached_tokens is not None:
                        counter.cached = (counter.cached or 0) + output.num_cached_tokens
                        cached = True
                    counter.completion += sum(len(one.token_ids) for one in output.outputs)
                    yield output
        except self.library.VLLMClientError as error:
            raise InvalidRequestError(str(error), getattr(error, "parameter", None)) from error
        except self.library.EngineDeadError as error:
            raise BackendUnavailableError("the engine has died; the backend ends, and starts anew") from error

    def parameters(self, fields: dict[str, Any], form: dict[str, Any] | None, *, whole: bool = False) -> Any:
        """Makes SamplingParams.

        Args:
            fields: as sampling.py makes them.
            form: StructuredOutputsParams' fields; None where any text will do.
            whole: whether the engine tells answers when they are complete, else piece by piece.

        Raises:
            InvalidRequestError: the engine refuses a value.
        """
        kinds = self.library.RequestOutputKind
        try:
            structured = None if form is None else self.library.StructuredOutputsParams(**form)
            return self.library.SamplingParams(
                **fields, structured_outputs=structured, output_kind=kinds.FINAL_ONLY if whole else kinds.DELTA
            )
        except (ValueError, self.library.VLLMClientError) as error:
            raise InvalidRequestError(str(error), getattr(error, "parameter", None)) from error


def reason_of(output: Any) -> FinishReason | None:
    """Why a choice has ended; None where it goes on.

    Args:
        output: vLLM's CompletionOutput.

    Raises:
        BackendFailedError: the engine gave it up.
    """
    if output.finish_reason is None:
        return None
    if output.finish_reason not in REASONS:
        raise BackendFailedError(f"the engine ended the answer with {output.finish_reason!r}")
    return REASONS[output.finish_reason]
