# SPDX-License-Identifier: Apache-2.0
"""How the service behaves where a request does not say otherwise."""

from dataclasses import dataclass
from importlib.util import find_spec

ENGINES = ("onnx", "torch")
PRECISIONS = ("int8", "float32")
MAX_INPUTS = 2048
"""The most inputs of a request, as OpenAI has it."""
MAX_REQUEST_TOKENS = 300_000
"""The most tokens of a request's inputs together, as OpenAI has it."""


def installed_engine() -> str:
    """The engine of the flavor that is installed: torch's where its packages are there."""
    return "torch" if find_spec("sentence_transformers") else "onnx"


@dataclass(frozen=True, slots=True)
class Settings:
    """The service's settings.

    Args:
        engine: onnx, which needs no torch, or torch, which the gpu flavor has.
        precision: int8 or float32; None means int8 where it can be made of safetensors, else what the folder's ONNX
            file is. torch: float32, or None for what the model was saved as.
        threads: how many threads work on one batch; 0 means as many as the CPUs leave for each stream, or 1.
        streams: how many batches are worked on at once; 0 means as many as the CPUs leave for such threads; torch: 1.
        max_batch_tokens: the most tokens of a batch, padding included; 0 means the engine's own.
        max_inputs: the most inputs of a request.
        max_request_tokens: the most tokens of a request's inputs together.
        truncate: whether inputs that are too long are cut, where the request says nothing.
        context_length: the most tokens of an input; None means as the model says.
        prompt: the name of the model's prompt that goes before every text; empty means none, None the model's default,
            mostly none.
        matryoshka: whether vectors may be cut to any length; None means as the model says.
        device: torch's, such as cuda or cpu; None means the best that there is.
    """

    engine: str = "onnx"
    precision: str | None = None
    threads: int = 0
    streams: int = 0
    max_batch_tokens: int = 0
    max_inputs: int = MAX_INPUTS
    max_request_tokens: int = MAX_REQUEST_TOKENS
    truncate: bool = False
    context_length: int | None = None
    prompt: str | None = None
    matryoshka: bool | None = None
    device: str | None = None
