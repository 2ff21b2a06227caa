# SPDX-License-Identifier: Apache-2.0
"""From the contract's parameters to vLLM's SamplingParams and StructuredOutputsParams, field by field."""

from typing import Any

from cowabungaai_sdk.v1.chat_pb2 import ChatRequest, ResponseFormat
from cowabungaai_sdk.v1.common_pb2 import Sampling
from cowabungaai_sdk.v1.completion_pb2 import CompletionRequest

SAME_NAME = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "frequency_penalty",
    "presence_penalty",
    "repetition_penalty",
    "seed",
    "max_tokens",
    "min_tokens",
)
"""Fields that vLLM has by the same name, with the same meaning; unset ones keep vLLM's defaults, which are OpenAI's."""
SMALLEST_TOP_P = 1e-9
"""For 0, which vLLM refuses: only the likeliest token is left."""


def sampling_fields(sampling: Sampling) -> dict[str, Any]:
    """SamplingParams' fields for what all requests have.

    Args:
        sampling: the contract's.
    """
    fields = {name: getattr(sampling, name) for name in SAME_NAME if sampling.HasField(name)}
    # vLLM's own default is 16; None is what is left of the context.
    fields.setdefault("max_tokens", None)
    if fields.get("top_p") == 0:
        fields["top_p"] = SMALLEST_TOP_P
    if sampling.logit_bias:
        fields["logit_bias"] = dict(sampling.logit_bias)
    if sampling.stop:
        fields["stop"] = list(sampling.stop)
    return fields


def chat_fields(request: ChatRequest) -> dict[str, Any]:
    """SamplingParams' fields for a conversation, without its format.

    Args:
        request: the conversation.
    """
    fields = sampling_fields(request.sampling)
    if request.HasField("n"):
        fields["n"] = request.n
    if request.logprobs:
        fields["logprobs"] = request.top_logprobs
    return fields


def completion_fields(request: CompletionRequest) -> dict[str, Any]:
    """SamplingParams' fields for prompts.

    Args:
        request: the prompts.
    """
    fields = sampling_fields(request.sampling)
    if request.HasField("n"):
        fields["n"] = request.n
    if request.HasField("logprobs"):
        fields["logprobs"] = request.logprobs
        if request.echo:
            fields["prompt_logprobs"] = request.logprobs
    if request.HasField("best_of"):
        fields["n"] = request.best_of
        # Without them the engine does not add up how likely an answer is.
        fields.setdefault("logprobs", 0)
    return fields


def format_fields(form: ResponseFormat) -> dict[str, Any] | None:
    """StructuredOutputsParams' fields for a format; None where any text will do.

    Args:
        form: the contract's.
    """
    match form.WhichOneof("format"):
        case "json_object":
            return {"json_object": True}
        case "json_schema":
            return {"json": form.json_schema.schema or '{"type": "object"}'}
    return None
