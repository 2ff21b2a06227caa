# SPDX-License-Identifier: Apache-2.0
"""The request of chat/completions."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from cowabungaai_api.schemas.base import MAX_MESSAGES, UINT32, Sampled, Strict, conflict

MAX_TOOLS = 128
Name = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
JsonObject = dict[str, Any]


class TextPart(Strict):
    """Text."""

    type: Literal["text"]
    text: str


class RefusalPart(Strict):
    """Why the assistant refused."""

    type: Literal["refusal"]
    refusal: str


class ImageUrl(Strict):
    """An image. Nothing is fetched from a network: the URL must hold the image itself."""

    url: str = Field(pattern=r"^data:image/[a-zA-Z0-9.+-]+;base64,", description="data:image/<format>;base64,<bytes>")
    detail: Literal["auto", "low", "high"] | None = None


class ImagePart(Strict):
    """An image."""

    type: Literal["image_url"]
    image_url: ImageUrl


class InputAudio(Strict):
    """A sound."""

    data: str = Field(min_length=1, description="The file in base64.")
    format: Literal["wav", "mp3"]


class AudioPart(Strict):
    """A sound."""

    type: Literal["input_audio"]
    input_audio: InputAudio


class InputFile(Strict):
    """A document, in the request itself; stored files are not offered."""

    file_data: str = Field(
        pattern=r"^data:[a-zA-Z0-9.+-]+/[a-zA-Z0-9.+-]+;base64,", description="data:<media type>;base64,<bytes>"
    )
    filename: str | None = Field(default=None, max_length=512)


class FilePart(Strict):
    """A document."""

    type: Literal["file"]
    file: InputFile


UserPart = Annotated[TextPart | ImagePart | AudioPart | FilePart, Field(discriminator="type")]
AssistantPart = Annotated[TextPart | RefusalPart, Field(discriminator="type")]
Texts = Annotated[list[TextPart], Field(min_length=1, max_length=MAX_MESSAGES, fail_fast=True)]


class SystemMessage(Strict):
    """Instructions; the role `developer` is OpenAI's newer word for `system`."""

    role: Literal["system", "developer"]
    content: str | Texts
    name: str | None = None


class UserMessage(Strict):
    """What the user says."""

    role: Literal["user"]
    content: str | Annotated[list[UserPart], Field(min_length=1, max_length=MAX_MESSAGES, fail_fast=True)]
    name: str | None = None


class CalledFunction(Strict):
    """A function and the arguments that the model wrote."""

    name: str
    arguments: str


class ToolCall(Strict):
    """A call that the assistant asked for."""

    id: str
    type: Literal["function"]
    function: CalledFunction


class AssistantMessage(Strict):
    """What the assistant said before.

    `annotations`, `audio` and `function_call` are accepted empty, as answers have them.
    """

    role: Literal["assistant"]
    content: (
        str | Annotated[list[AssistantPart], Field(min_length=1, max_length=MAX_MESSAGES, fail_fast=True)] | None
    ) = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: Annotated[list[ToolCall], Field(max_length=MAX_TOOLS, fail_fast=True)] | None = None
    reasoning_content: str | None = None
    annotations: Annotated[list[Any], Field(max_length=0)] | None = None
    audio: None = None
    function_call: None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.content is None and self.refusal is None and not self.tool_calls:
            raise conflict("content", "expected a string or an array of parts, unless there are tool_calls")
        return self


class ToolMessage(Strict):
    """What a tool answered."""

    role: Literal["tool"]
    content: str | Texts
    tool_call_id: str = Field(min_length=1)


Message = Annotated[SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")]


class Function(Strict):
    """A function that the model may ask to call; `parameters` is a JSON Schema."""

    name: Name
    description: str | None = None
    parameters: JsonObject | None = None
    strict: bool | None = None


class Tool(Strict):
    """A tool; functions are the only kind."""

    type: Literal["function"]
    function: Function


class FunctionName(Strict):
    """A function, by name."""

    name: Name


class NamedTool(Strict):
    """A tool, by name."""

    type: Literal["function"]
    function: FunctionName


class AllowedTools(Strict):
    """Which of the tools may be called, and whether one must be."""

    mode: Literal["auto", "required"]
    tools: Annotated[list[NamedTool], Field(min_length=1, max_length=MAX_TOOLS, fail_fast=True)]


class AllowedToolsChoice(Strict):
    """A choice among some of the tools."""

    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


ToolChoice = (
    Literal["none", "auto", "required"] | Annotated[NamedTool | AllowedToolsChoice, Field(discriminator="type")]
)


class TextFormat(Strict):
    """Plain text."""

    type: Literal["text"]


class JsonObjectFormat(Strict):
    """Any JSON object."""

    type: Literal["json_object"]


class JsonSchema(Strict):
    """A schema and its name."""

    name: Name
    description: str | None = None
    schema_: JsonObject | None = Field(default=None, alias="schema")
    strict: bool | None = None


class JsonSchemaFormat(Strict):
    """JSON that keeps to a schema."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


ResponseFormat = Annotated[TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh"]


class ChatCompletionRequest(Sampled):
    """The body of the request."""

    UNSUPPORTED: ClassVar[frozenset[str]] = frozenset(
        {
            "audio",
            "function_call",
            "functions",
            "metadata",
            "modalities",
            "moderation",
            "prediction",
            "prompt_cache_options",
            "prompt_cache_retention",
            "service_tier",
            "store",
            "web_search_options",
        }
    )

    messages: list[Message] = Field(
        min_length=1, max_length=MAX_MESSAGES, fail_fast=True, description="The conversation, oldest first."
    )
    max_completion_tokens: int | None = Field(default=None, ge=1, lt=UINT32)
    tools: Annotated[list[Tool], Field(max_length=MAX_TOOLS, fail_fast=True)] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    reasoning_effort: Effort | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    prompt_cache_key: str | None = Field(
        default=None, max_length=512, description="Requests with the same key go to the same replica where they can."
    )
    safety_identifier: str | None = Field(default=None, max_length=512, description="The newer name of `user`.")
    audio: None = None
    function_call: Literal["none"] | None = None
    functions: Annotated[list[Any], Field(max_length=0)] | None = None
    metadata: Annotated[dict[str, str], Field(max_length=0)] | None = None
    modalities: Annotated[list[Literal["text"]], Field(min_length=1, max_length=1)] | None = None
    moderation: None = None
    prediction: None = None
    prompt_cache_options: None = None
    prompt_cache_retention: None = None
    service_tier: Literal["auto", "default"] | None = None
    store: Literal[False] | None = None
    web_search_options: None = None

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.max_tokens is not None and self.max_completion_tokens is not None:
            raise conflict("max_tokens", "give this or its newer name 'max_completion_tokens', not both")
        if self.top_logprobs is not None and not self.logprobs:
            raise conflict("top_logprobs", "only allowed when 'logprobs' is true")
        if self.user is not None and self.safety_identifier is not None:
            raise conflict("user", "give this or its newer name 'safety_identifier', not both")
        if self.tools or self.tool_choice is not None or self.parallel_tool_calls is not None:
            self._check_tools()
        return self

    def _check_tools(self) -> None:
        names = [tool.function.name for tool in self.tools or ()]
        if not names:
            if self.tool_choice not in (None, "none", "auto"):
                raise conflict("tool_choice", "only allowed when 'tools' are given")
            return
        if len(set(names)) < len(names):
            raise conflict("tools", "two functions have the same name")
        for chosen in self.chosen_tools:
            if chosen not in names:
                raise conflict("tool_choice", f"no tool is named {chosen!r}")

    @property
    def chosen_tools(self) -> list[str]:
        """Functions that tool_choice names."""
        match self.tool_choice:
            case NamedTool() as named:
                return [named.function.name]
            case AllowedToolsChoice() as choice:
                return [tool.function.name for tool in choice.allowed_tools.tools]
        return []

    @property
    def token_limit(self) -> int | None:
        """The most tokens to generate for one choice, under whichever name it came."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens
