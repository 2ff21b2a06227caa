# SPDX-License-Identifier: Apache-2.0
"""chat/completions: from OpenAI's JSON to the contract."""

import orjson

from cowabungaai_api.operations.common import decode_base64, sampling
from cowabungaai_api.schemas import chat_request as schema
from cowabungaai_sdk.v1 import chat_pb2

ROLES = {
    "system": chat_pb2.ROLE_SYSTEM,
    "developer": chat_pb2.ROLE_DEVELOPER,
    "user": chat_pb2.ROLE_USER,
    "assistant": chat_pb2.ROLE_ASSISTANT,
    "tool": chat_pb2.ROLE_TOOL,
}
MODES = {
    "none": chat_pb2.ToolChoice.MODE_NONE,
    "auto": chat_pb2.ToolChoice.MODE_AUTO,
    "required": chat_pb2.ToolChoice.MODE_REQUIRED,
}
DETAILS = {"low": chat_pb2.IMAGE_DETAIL_LOW, "high": chat_pb2.IMAGE_DETAIL_HIGH}
DIRECT = ("n", "parallel_tool_calls", "logprobs", "top_logprobs", "reasoning_effort", "verbosity", "user")


def to_backend(request: schema.ChatCompletionRequest, model: str) -> chat_pb2.ChatRequest:
    """Writes a request as the backend reads it.

    Args:
        request: the client's request, checked.
        model: the model's name at the backend.

    Raises:
        ApiError: 400, something in base64 is none.
    """
    out = chat_pb2.ChatRequest(
        model=model,
        messages=[_message(message, number) for number, message in enumerate(request.messages)],
        sampling=sampling(request),
    )
    given = request.__pydantic_fields_set__
    for name in DIRECT:
        if name in given and (value := getattr(request, name)) is not None:
            setattr(out, name, value)
    if request.safety_identifier is not None:
        out.user = request.safety_identifier
    if request.tools:
        out.tools.extend(_tool(tool.function) for tool in request.tools)
    if request.tool_choice is not None:
        out.tool_choice.CopyFrom(_tool_choice(request.tool_choice))
    if request.response_format is not None:
        out.response_format.CopyFrom(_response_format(request.response_format))
    return out


def messages(found: list[schema.Message]) -> list[chat_pb2.ChatMessage]:
    """Writes a conversation as the backend reads it.

    Args:
        found: the client's messages, checked.

    Raises:
        ApiError: 400, something in base64 is none.
    """
    return [_message(message, number) for number, message in enumerate(found)]


def tools(found: list[schema.Tool]) -> list[chat_pb2.Tool]:
    """Writes tools as the backend reads them.

    Args:
        found: the client's tools, checked.
    """
    return [_tool(tool.function) for tool in found]


def _message(message: schema.Message, number: int) -> chat_pb2.ChatMessage:
    content = message.content
    if isinstance(content, str):
        parts = [chat_pb2.ContentPart(text=content)]
    else:
        where = f"messages[{number}].content"
        parts = [_part(part, f"{where}[{place}]") for place, part in enumerate(content or ())]
    out = chat_pb2.ChatMessage(role=ROLES[message.role], content=parts)
    match message:
        case schema.ToolMessage():
            out.tool_call_id = message.tool_call_id
        case schema.AssistantMessage():
            if message.refusal is not None:
                out.content.append(chat_pb2.ContentPart(refusal=message.refusal))
            for call in message.tool_calls or ():
                out.tool_calls.add(id=call.id, name=call.function.name, arguments=call.function.arguments)
            if message.reasoning_content is not None:
                out.reasoning = message.reasoning_content
    if (name := getattr(message, "name", None)) is not None:
        out.name = name
    return out


def _part(part: schema.UserPart | schema.AssistantPart, where: str) -> chat_pb2.ContentPart:
    match part:
        case schema.TextPart():
            return chat_pb2.ContentPart(text=part.text)
        case schema.RefusalPart():
            return chat_pb2.ContentPart(refusal=part.refusal)
        case schema.ImagePart():
            kind, data = _data_url(part.image_url.url, f"{where}.image_url.url")
            detail = DETAILS.get(part.image_url.detail or "auto")
            return chat_pb2.ContentPart(image=chat_pb2.ImagePart(data=data, media_type=kind, detail=detail))
        case schema.AudioPart():
            data = decode_base64(part.input_audio.data, f"{where}.input_audio.data")
            return chat_pb2.ContentPart(audio=chat_pb2.AudioPart(data=data, format=part.input_audio.format))
        case schema.FilePart():
            kind, data = _data_url(part.file.file_data, f"{where}.file.file_data")
            return chat_pb2.ContentPart(file=chat_pb2.FilePart(data=data, media_type=kind, filename=part.file.filename))


def _data_url(url: str, param: str) -> tuple[str, bytes]:
    """The media type and the bytes of `data:TYPE;base64,BYTES`; the schema has checked the form."""
    head, _, data = url.partition(";base64,")
    return head.removeprefix("data:"), decode_base64(data, param)


def _json(value: object) -> str | None:
    return None if value is None else orjson.dumps(value).decode()


def _tool(function: schema.Function) -> chat_pb2.Tool:
    return chat_pb2.Tool(
        name=function.name,
        description=function.description,
        parameters=_json(function.parameters),
        strict=function.strict,
    )


def _tool_choice(choice: schema.ToolChoice) -> chat_pb2.ToolChoice:
    match choice:
        case str():
            return chat_pb2.ToolChoice(mode=MODES[choice])
        case schema.NamedTool():
            return chat_pb2.ToolChoice(mode=chat_pb2.ToolChoice.MODE_FUNCTION, function=choice.function.name)
        case schema.AllowedToolsChoice():
            allowed = choice.allowed_tools
            names = [tool.function.name for tool in allowed.tools]
            return chat_pb2.ToolChoice(mode=MODES[allowed.mode], allowed=names)


def _response_format(found: schema.ResponseFormat) -> chat_pb2.ResponseFormat:
    match found:
        case schema.TextFormat():
            return chat_pb2.ResponseFormat(text=chat_pb2.ResponseFormat.Text())
        case schema.JsonObjectFormat():
            return chat_pb2.ResponseFormat(json_object=chat_pb2.ResponseFormat.JsonObject())
        case schema.JsonSchemaFormat(json_schema=wanted):
            return chat_pb2.ResponseFormat(
                json_schema=chat_pb2.ResponseFormat.JsonSchema(
                    name=wanted.name,
                    description=wanted.description,
                    schema=_json(wanted.schema_),
                    strict=wanted.strict,
                )
            )
