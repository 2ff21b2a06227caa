# SPDX-License-Identifier: Apache-2.0
"""What several endpoints share: sampling, usage, log probabilities, events."""

import base64
import binascii
from collections.abc import AsyncGenerator, Iterable
from typing import Any

import orjson

from cowabungaai_api.errors import ApiError
from cowabungaai_api.schemas.base import Sampled
from cowabungaai_api.upstream.base import Call, TokenUse
from cowabungaai_sdk.client import BackendClient
from cowabungaai_sdk.errors import BackendFailedError
from cowabungaai_sdk.v1 import common_pb2

FINISH_REASONS: dict[int, str] = {
    common_pb2.FINISH_REASON_STOP: "stop",
    common_pb2.FINISH_REASON_LENGTH: "length",
    common_pb2.FINISH_REASON_TOOL_CALLS: "tool_calls",
    common_pb2.FINISH_REASON_CONTENT_FILTER: "content_filter",
}
DONE = b"data: [DONE]\n\n"
DIRECT = (
    "temperature",
    "top_p",
    "min_p",
    "frequency_penalty",
    "presence_penalty",
    "repetition_penalty",
    "seed",
    "min_tokens",
)
"""Parameters that have the same name and meaning in the contract."""


class Whole:
    """What operations have in common whose answers never stream."""

    done_marker = False

    def stream(self, client: BackendClient, call: Call, model: str) -> AsyncGenerator[bytes, None]:
        """Never asked for: the request has no `stream`."""
        raise NotImplementedError


def sampling(request: Sampled, default_max_tokens: int | None = None) -> common_pb2.Sampling:
    """Writes how tokens are to be chosen.

    Args:
        request: the client's request.
        default_max_tokens: what an unset max_tokens means.
    """
    out = common_pb2.Sampling()
    given = request.__pydantic_fields_set__
    for name in DIRECT:
        if name in given and (value := getattr(request, name)) is not None:
            setattr(out, name, value)
    limit = request.token_limit if request.token_limit is not None else default_max_tokens
    if limit is not None:
        out.max_tokens = limit
    if request.stop is not None:
        out.stop.extend([request.stop] if isinstance(request.stop, str) else request.stop)
    if request.logit_bias:
        for token, bias in request.logit_bias.items():
            out.logit_bias[int(token)] = bias
    if request.top_k is not None:
        # Both -1 and 0 mean all tokens in the servers that know the parameter.
        out.top_k = max(0, request.top_k)
    return out


def usage(found: common_pb2.Usage, use: TokenUse) -> dict[str, Any]:
    """Writes the usage, and counts it.

    Args:
        found: as the backend gave it.
        use: gets the counts.
    """
    use.prompt, use.completion = found.prompt_tokens, found.completion_tokens
    out: dict[str, Any] = {
        "prompt_tokens": found.prompt_tokens,
        "completion_tokens": found.completion_tokens,
        "total_tokens": found.prompt_tokens + found.completion_tokens,
    }
    if found.HasField("cached_prompt_tokens"):
        out["prompt_tokens_details"] = {"cached_tokens": found.cached_prompt_tokens}
    if found.HasField("reasoning_tokens"):
        out["completion_tokens_details"] = {"reasoning_tokens": found.reasoning_tokens}
    return out


def finish_reason(found: int) -> str:
    """Writes why a choice ended.

    Args:
        found: as the backend gave it.

    Raises:
        BackendFailedError: it gave none.
    """
    if (reason := FINISH_REASONS.get(found)) is None:
        raise BackendFailedError("a choice ended without finish reason")
    return reason


def logprobs(found: Iterable[common_pb2.TokenLogprob]) -> list[dict[str, Any]]:
    """Writes log probabilities as chat has them.

    Args:
        found: as the backend gave them.
    """
    return [
        {
            "token": entry.token,
            "logprob": entry.logprob,
            "bytes": list(entry.token_bytes),
            "top_logprobs": [
                {"token": top.token, "logprob": top.logprob, "bytes": list(top.token_bytes)} for top in entry.top
            ],
        }
        for entry in found
    ]


def event(payload: dict[str, Any]) -> bytes:
    """Writes a server-sent event.

    Args:
        payload: its data.
    """
    return b"data: " + orjson.dumps(payload) + b"\n\n"


def decode_base64(text: str, param: str) -> bytes:
    """Reads base64.

    Args:
        text: the base64.
        param: the parameter's name, for the error.

    Raises:
        ApiError: 400, it is not base64.
    """
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ApiError(400, f"Invalid '{param}': expected base64.", "invalid_base64", param) from error


def text_inputs(value: str | list[Any]) -> list[common_pb2.TextInput]:
    """Writes texts, or their tokens.

    Args:
        value: a text, texts, tokens, or lists of tokens.
    """
    match value:
        case str():
            return [common_pb2.TextInput(text=value)]
        case [int(), *_]:
            return [common_pb2.TextInput(tokens=common_pb2.TokenIds(ids=value))]
        case [str(), *_]:
            return [common_pb2.TextInput(text=text) for text in value]
        case _:
            return [common_pb2.TextInput(tokens=common_pb2.TokenIds(ids=ids)) for ids in value]
