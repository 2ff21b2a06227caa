"""The request of chat/completions. A documented parameter takes effect, or is refused by name.

Source of names, ranges and defaults: OpenAI's API reference, "Create chat completion".
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

MAX_STOPS = 4
INT64 = 2**63

NO_EFFECT: dict[str, tuple[object, ...]] = {
    "audio": (),
    "frequency_penalty": (0,),
    "function_call": ("none",),
    "functions": ([],),
    "logit_bias": ({},),
    "logprobs": (False,),
    "metadata": ({},),
    "modalities": (["text"],),
    "moderation": (),
    "n": (1,),
    "parallel_tool_calls": (),
    "prediction": (),
    "presence_penalty": (0,),
    "prompt_cache_key": (),
    "prompt_cache_options": (),
    "prompt_cache_retention": (),
    "reasoning_effort": (),
    "response_format": ({"type": "text"},),
    "safety_identifier": (),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "top_logprobs": (0,),
    "user": (),
    "verbosity": ("medium",),
    "web_search_options": (),
}
"""Documented parameters that are not supported yet, each with the values that ask for nothing; null always does."""


RETURNED = ("annotations", "audio", "function_call", "refusal", "tool_calls")
"""Fields of an assistant's message that clients send back as they got them; not supported unless null or empty."""


def _unsupported(param: str, expected: str) -> PydanticCustomError:
    message = f"Unsupported parameter: '{param}' is not supported by this server yet; {expected}."
    return PydanticCustomError("unsupported_parameter", "{message}", {"message": message, "param": param})


def _conflict(param: str, message: str) -> PydanticCustomError:
    return PydanticCustomError("conflict", "{message}", {"message": message, "param": param})


def _is(value: object, default: object) -> bool:
    """Compares as JSON does: true is not 1."""
    return value == default and isinstance(value, bool) == isinstance(default, bool)


def refuse_unsupported(data: Any) -> Any:
    """Takes parameters out that ask for nothing, and refuses those that would be ignored.

    Args:
        data: a body as it was parsed.

    Raises:
        PydanticCustomError: type `unsupported_parameter`, with `param` in its context.
    """
    if not isinstance(data, dict):
        return data
    for name, accepted in NO_EFFECT.items():
        value = data.get(name)
        if value is None or any(_is(value, default) for default in accepted):
            continue
        hint = " or ".join(repr(default) for default in accepted)
        raise _unsupported(name, f"leave it out, or send {hint}" if hint else "leave it out")
    return {name: value for name, value in data.items() if name not in NO_EFFECT}


def _as_parts(content: Any) -> Any:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list):
        raise PydanticCustomError("content_type", "expected a string, or a list of parts of type 'text'")
    return content


def _as_list(stop: Any) -> Any:
    return [stop] if isinstance(stop, str) else stop


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class TextPart(_Strict):
    """A part of a message's content."""

    type: Literal["text"]
    text: str


Content = Annotated[list[TextPart], BeforeValidator(_as_parts, json_schema_input_type=str | list[TextPart])]
Stops = Annotated[
    list[Annotated[str, Field(min_length=1)]], BeforeValidator(_as_list, json_schema_input_type=str | list[str])
]


class Message(_Strict):
    """One turn of the conversation.

    Args:
        role: who speaks.
        content: text, or parts of text.
        name: tells apart speakers of the same role.
        tool_call_id: with the role `tool`, and only there: the call that the message answers.
    """

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Content
    name: str | None = None
    tool_call_id: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _take_out_returned(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        for name in RETURNED:
            if data.get(name) not in (None, []):
                raise _unsupported(name, "leave it out")
        return {name: value for name, value in data.items() if name not in RETURNED}

    @model_validator(mode="after")
    def _tool_call_id_goes_with_tool(self) -> "Message":
        if (self.role == "tool") != (self.tool_call_id is not None):
            raise _conflict("tool_call_id", "it belongs to every message of role 'tool', and only there")
        return self


class StreamOptions(_Strict):
    """Options of a stream.

    Args:
        include_usage: send the usage in a chunk of its own at the end.
        include_obfuscation: pad chunks against traffic analysis; only false is supported.
    """

    include_usage: bool = False
    include_obfuscation: Literal[False] | None = None


class ChatCompletionRequest(_Strict):
    """The body of the request.

    Args:
        model: one of those that the models endpoint lists.
        messages: the conversation, oldest first.
        temperature: sampling temperature, 0 to 2.
        top_p: probability mass to sample from, 0 to 1.
        max_completion_tokens: the most tokens to generate.
        max_tokens: the older name of max_completion_tokens.
        seed: seed of the sampler.
        stop: up to 4 sequences at which generation ends.
        stream: answer with server-sent events.
        stream_options: options of the stream.
    """

    model: str = Field(min_length=1)
    messages: list[Message] = Field(min_length=1)
    temperature: float | None = Field(default=None, ge=0, le=2, allow_inf_nan=False)
    top_p: float | None = Field(default=None, ge=0, le=1, allow_inf_nan=False)
    max_completion_tokens: int | None = Field(default=None, ge=1, lt=2**32)
    max_tokens: int | None = Field(default=None, ge=1, lt=2**32)
    seed: int | None = Field(default=None, ge=-INT64, lt=INT64)
    stop: Annotated[Stops, Field(max_length=MAX_STOPS)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    _refuse_unsupported = model_validator(mode="before")(refuse_unsupported)

    @model_validator(mode="after")
    def _check_together(self) -> "ChatCompletionRequest":
        if self.max_tokens is not None and self.max_completion_tokens is not None:
            raise _conflict("max_tokens", "give this or its newer name 'max_completion_tokens', not both")
        if self.stream_options is not None and not self.stream:
            raise _conflict("stream_options", "only allowed when 'stream' is true")
        return self

    @property
    def token_limit(self) -> int | None:
        """The most tokens to generate, under whichever name it came."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens
