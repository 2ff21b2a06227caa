# SPDX-License-Identifier: Apache-2.0
"""What is used of vLLM, and nothing else of it: imported when the engine starts, and replaced by a double in tests."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module, metadata
from typing import Any, Protocol


class Tokenizer(Protocol):
    """Of vLLM's TokenizerLike, what is used."""

    max_chars_per_token: int

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """A text's token ids."""

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = False) -> str:
        """The text of token ids."""

    def apply_chat_template(self, messages: list[Any], tools: list[Any] | None = None, **kwargs: Any) -> Any:
        """A conversation as the model reads it: token ids, where `tokenize` is true."""


class Engine(Protocol):
    """Of vLLM's AsyncLLM, what is used."""

    model_config: Any

    @property
    def errored(self) -> bool:
        """Whether the engine has died."""

    def generate(
        self, prompt: Any, sampling_params: Any, request_id: str, *, lora_request: Any = None
    ) -> AsyncGenerator[Any, None]:
        """Generates; closing the generator aborts the request."""

    def get_tokenizer(self) -> Tokenizer:
        """The model's tokenizer."""

    def shutdown(self, timeout: float | None = None) -> None:
        """Ends the engine's processes."""


@dataclass(frozen=True, slots=True)
class Library:
    """vLLM's names, as they are called there.

    Args:
        SamplingParams: how tokens are chosen.
        StructuredOutputsParams: what form the output has.
        RequestOutputKind: whether outputs are pieces, or all so far.
        AsyncEngineArgs: the engine's arguments.
        AsyncLLM: the engine.
        LoRARequest: an adapter.
        ToolParserManager: parsers of tool calls, by name.
        ReasoningParserManager: parsers of reasoning, by name.
        ChatCompletionRequest: what the parsers want to see.
        tokens_input: makes the engine's input of token ids.
        VLLMClientError: the request is wrong.
        EngineDeadError: the engine has died.
    """

    SamplingParams: Any
    StructuredOutputsParams: Any
    RequestOutputKind: Any
    AsyncEngineArgs: Any
    AsyncLLM: Any
    LoRARequest: Any
    ToolParserManager: Any
    ReasoningParserManager: Any
    ChatCompletionRequest: Any
    tokens_input: Any
    VLLMClientError: type[Exception]
    EngineDeadError: type[Exception]

    @property
    def engine_argument_names(self) -> list[str]:
        """The arguments that the engine knows, sorted."""
        fields: Mapping[str, object] = self.AsyncEngineArgs.__dataclass_fields__
        return sorted(fields)


NAMES = {
    "SamplingParams": "vllm.sampling_params",
    "StructuredOutputsParams": "vllm.sampling_params",
    "RequestOutputKind": "vllm.sampling_params",
    "AsyncEngineArgs": "vllm.engine.arg_utils",
    "AsyncLLM": "vllm.v1.engine.async_llm",
    "LoRARequest": "vllm.lora.request",
    "ToolParserManager": "vllm.tool_parsers.abstract_tool_parser",
    "ReasoningParserManager": "vllm.reasoning.abs_reasoning_parsers",
    "ChatCompletionRequest": "vllm.entrypoints.openai.chat_completion.protocol",
    "tokens_input": "vllm.inputs.engine",
    "VLLMClientError": "vllm.exceptions",
    "EngineDeadError": "vllm.v1.engine.exceptions",
}
"""Where vLLM has each name."""


def load() -> Library:
    """Imports vLLM; takes seconds.

    Raises:
        ImportError: it is not installed, or of another version than this backend is made for.
    """
    return Library(**{name: getattr(import_module(module), name) for name, module in NAMES.items()})


def version() -> str:
    """The installed vLLM's version; `none` where it is not installed."""
    try:
        return metadata.version("vllm")
    except metadata.PackageNotFoundError:
        return "none"
