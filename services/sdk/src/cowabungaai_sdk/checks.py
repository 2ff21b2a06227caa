# SPDX-License-Identifier: Apache-2.0
"""What every backend refuses alike: requests that break the contract, whatever the engine."""

import json
from collections.abc import Sequence

from cowabungaai_sdk.errors import InvalidRequestError
from cowabungaai_sdk.v1 import audio_pb2, chat_pb2
from cowabungaai_sdk.v1.chat_pb2 import ChatMessage, ChatRequest, ResponseFormat, Tool, ToolChoice
from cowabungaai_sdk.v1.common_pb2 import Sampling, TextInput
from cowabungaai_sdk.v1.completion_pb2 import CompletionRequest
from cowabungaai_sdk.v1.embedding_pb2 import EmbeddingRequest
from cowabungaai_sdk.v1.tokens_pb2 import CountTokensRequest

MAX_N = 128
MAX_DIMENSIONS = 65_536
MAX_CHAT_LOGPROBS = 20
MAX_COMPLETION_LOGPROBS = 5
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")
VERBOSITIES = ("low", "medium", "high")

_ROLES = frozenset(chat_pb2.Role.values()) - {chat_pb2.ROLE_UNSPECIFIED}
_RANGES = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "min_p": (0, 1),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
}


def check_chat(request: ChatRequest) -> None:
    """Refuses conversations that no backend can answer.

    Args:
        request: what came from the caller.

    Raises:
        InvalidRequestError: a message, tool or parameter is missing, contradicts another or is out of range.
    """
    if not request.messages:
        raise InvalidRequestError("messages is empty; expected at least one message", "messages")
    for index, message in enumerate(request.messages):
        _check_message(message, f"messages[{index}]")
    _check_sampling(request.sampling)
    _check_count(request, "n", 1, MAX_N)
    _check_count(request, "top_logprobs", 0, MAX_CHAT_LOGPROBS)
    if request.HasField("top_logprobs") and not request.logprobs:
        raise InvalidRequestError("top_logprobs needs logprobs to be true", "top_logprobs")
    _check_word(request, "reasoning_effort", EFFORTS)
    _check_word(request, "verbosity", VERBOSITIES)
    _check_tools(request.tools)
    if request.HasField("tool_choice"):
        _check_tool_choice(request.tool_choice, [tool.name for tool in request.tools])
    if request.HasField("response_format"):
        _check_response_format(request.response_format)


def refuse_verbosity(request: ChatRequest) -> None:
    """Refuses a wish for shorter or longer answers, for backends whose models cannot be told.

    Args:
        request: what came from the caller, checked.

    Raises:
        InvalidRequestError: it wishes for another verbosity than the usual one.
    """
    if request.HasField("verbosity") and request.verbosity != "medium":
        message = f"verbosity is {request.verbosity!r}, which the model does not know; leave it out"
        raise InvalidRequestError(message, "verbosity")


def check_completion(request: CompletionRequest, stream: bool) -> None:
    """Refuses prompts that no backend can continue.

    Args:
        request: what came from the caller.
        stream: whether the answer is streamed.

    Raises:
        InvalidRequestError: a prompt or parameter is missing, contradicts another or is out of range.
    """
    if not request.prompts:
        raise InvalidRequestError("prompts is empty; expected at least one prompt", "prompts")
    for index, prompt in enumerate(request.prompts):
        _check_input(prompt, f"prompts[{index}]", allow_empty=True)
    _check_sampling(request.sampling)
    _check_count(request, "n", 1, MAX_N)
    _check_count(request, "best_of", 1, MAX_N)
    _check_count(request, "logprobs", 0, MAX_COMPLETION_LOGPROBS)
    n = request.n if request.HasField("n") else 1
    if request.HasField("best_of") and request.best_of < n:
        raise InvalidRequestError(f"best_of is {request.best_of}; expected at least n, which is {n}", "best_of")
    if request.HasField("best_of") and stream and request.best_of > n:
        raise InvalidRequestError("best_of cannot be streamed; leave it out, or do not stream", "best_of")


def check_embedding(request: EmbeddingRequest) -> None:
    """Refuses inputs that no backend can embed.

    Args:
        request: what came from the caller.

    Raises:
        InvalidRequestError: an input is missing or empty, or dimensions is out of range.
    """
    if not request.inputs:
        raise InvalidRequestError("inputs is empty; expected at least one input", "inputs")
    for index, found in enumerate(request.inputs):
        _check_input(found, f"inputs[{index}]", allow_empty=False)
    _check_count(request, "dimensions", 1, MAX_DIMENSIONS)


def check_transcription(options: audio_pb2.TranscribeOptions) -> None:
    """Refuses options that no backend understands.

    Args:
        options: what came from the caller.

    Raises:
        InvalidRequestError: the task is missing, or a parameter is out of range.
    """
    if options.task not in (audio_pb2.AUDIO_TASK_TRANSCRIBE, audio_pb2.AUDIO_TASK_TRANSLATE):
        raise InvalidRequestError(f"task is {options.task}; expected AUDIO_TASK_TRANSCRIBE or _TRANSLATE", "task")
    if options.HasField("language") and not (options.language.isalpha() and len(options.language) in (2, 3)):
        raise InvalidRequestError(f"language is {options.language!r}; expected an ISO 639-1 code as `en`", "language")
    if options.HasField("temperature"):
        _check_range("temperature", options.temperature, 0, 1)


def check_token_count(request: CountTokensRequest) -> None:
    """Refuses what has no tokens to count.

    Args:
        request: what came from the caller.

    Raises:
        InvalidRequestError: there is neither text nor conversation, or a message is not one.
    """
    if request.WhichOneof("input") is None:
        raise InvalidRequestError("there is no input; expected text or conversation", "input")
    for index, message in enumerate(request.conversation.messages):
        _check_message(message, f"conversation.messages[{index}]")
    _check_tools(request.conversation.tools)


def _check_message(message: ChatMessage, where: str) -> None:
    if message.role not in _ROLES:
        raise InvalidRequestError(f"the role is {message.role}; expected one of Role, and not unset", f"{where}.role")
    if not message.content and message.role != chat_pb2.ROLE_ASSISTANT:
        raise InvalidRequestError("the content is empty; only the assistant's may be", f"{where}.content")
    for index, part in enumerate(message.content):
        if part.WhichOneof("part") is None:
            raise InvalidRequestError("the part is unset; expected text or a file", f"{where}.content[{index}]")
    if message.role == chat_pb2.ROLE_TOOL and not message.tool_call_id:
        raise InvalidRequestError("a tool's message names no call; set tool_call_id", f"{where}.tool_call_id")
    for index, call in enumerate(message.tool_calls):
        if not call.id or not call.name:
            raise InvalidRequestError("a call needs id and name", f"{where}.tool_calls[{index}]")


def _check_sampling(sampling: Sampling) -> None:
    for name, (low, high) in _RANGES.items():
        if sampling.HasField(name):
            _check_range(name, getattr(sampling, name), low, high)
    if sampling.HasField("repetition_penalty") and not 0 < sampling.repetition_penalty < float("inf"):
        raise InvalidRequestError(
            f"repetition_penalty is {sampling.repetition_penalty:g}; expected more than 0", "repetition_penalty"
        )
    for bias in sampling.logit_bias.values():
        _check_range("logit_bias", bias, -100, 100)
    if "" in sampling.stop:
        raise InvalidRequestError("a stop sequence is empty; expected at least one character", "stop")
    if sampling.HasField("max_tokens") and sampling.min_tokens > sampling.max_tokens:
        message = f"min_tokens is {sampling.min_tokens}; expected at most max_tokens, which is {sampling.max_tokens}"
        raise InvalidRequestError(message, "min_tokens")


def _check_range(name: str, value: float, low: float, high: float) -> None:
    # Written so that NaN is refused too.
    if not low <= value <= high:
        raise InvalidRequestError(f"{name} is {value:g}; expected {low:g} to {high:g}", name)


def _check_count(request: ChatRequest | CompletionRequest | EmbeddingRequest, name: str, low: int, high: int) -> None:
    if request.HasField(name) and not low <= (value := getattr(request, name)) <= high:
        raise InvalidRequestError(f"{name} is {value}; expected {low} to {high}", name)


def _check_word(request: ChatRequest, name: str, known: Sequence[str]) -> None:
    if request.HasField(name) and (value := getattr(request, name)) not in known:
        raise InvalidRequestError(f"{name} is {value!r}; expected one of {', '.join(known)}", name)


def _check_input(found: TextInput, where: str, allow_empty: bool) -> None:
    match found.WhichOneof("input"):
        case "text" if found.text or allow_empty:
            return
        case "tokens" if found.tokens.ids:
            return
        case None:
            raise InvalidRequestError("the input is unset; expected text or tokens", where)
    raise InvalidRequestError("the input is empty; expected at least one token", where)


def _check_tools(tools: Sequence[Tool]) -> None:
    names: set[str] = set()
    for index, tool in enumerate(tools):
        if not tool.name:
            raise InvalidRequestError("a tool has no name", f"tools[{index}].name")
        if tool.name in names:
            raise InvalidRequestError(f"two tools are named {tool.name!r}", f"tools[{index}].name")
        names.add(tool.name)
        if tool.HasField("parameters"):
            _check_schema(tool.parameters, f"tools[{index}].parameters")


def _check_tool_choice(choice: ToolChoice, names: Sequence[str]) -> None:
    if choice.mode == ToolChoice.MODE_UNSPECIFIED:
        raise InvalidRequestError("the mode is unset; expected one of ToolChoice.Mode", "tool_choice.mode")
    if choice.mode == ToolChoice.MODE_FUNCTION and choice.function not in names:
        raise InvalidRequestError(f"there is no tool {choice.function!r} among tools", "tool_choice.function")
    for name in choice.allowed:
        if name not in names:
            raise InvalidRequestError(f"there is no tool {name!r} among tools", "tool_choice.allowed")
    if choice.mode == ToolChoice.MODE_REQUIRED and not names:
        raise InvalidRequestError("a call is required, but there are no tools", "tool_choice")


def _check_response_format(form: ResponseFormat) -> None:
    kind = form.WhichOneof("format")
    if kind is None:
        raise InvalidRequestError("the format is unset; expected text, json_object or json_schema", "response_format")
    if kind == "json_schema" and form.json_schema.HasField("schema"):
        _check_schema(form.json_schema.schema, "response_format.json_schema.schema")


def _check_schema(text: str, where: str) -> None:
    try:
        schema = json.loads(text)
    except ValueError as error:
        raise InvalidRequestError(f"the schema is not JSON: {error}", where) from error
    if not isinstance(schema, dict):
        raise InvalidRequestError(f"the schema is a JSON {type(schema).__name__}; expected an object", where)
