# SPDX-License-Identifier: Apache-2.0
"""Conversations: the echo of the last user message, as text, JSON, a refusal or tool calls."""

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace

from cowabungaai_repeater.config import RepeaterConfig
from cowabungaai_repeater.control import Control, parse
from cowabungaai_repeater.generation import generate, logprob
from cowabungaai_repeater.schema import instance
from cowabungaai_repeater.tokens import conversation_tokens, last_user_text, tokens
from cowabungaai_sdk.backend import ChatDelta
from cowabungaai_sdk.errors import InvalidRequestError
from cowabungaai_sdk.v1.chat_pb2 import ChatLogprobs, ChatRequest, ResponseFormat, Tool, ToolCallDelta, ToolChoice
from cowabungaai_sdk.v1.common_pb2 import (
    FINISH_REASON_LENGTH,
    FINISH_REASON_STOP,
    FINISH_REASON_TOOL_CALLS,
    FinishReason,
    Usage,
)

ARGUMENTS_PIECE = 8
"""How many characters of a tool call's arguments make a piece, which counts as a token."""
BREATH = 64
"""After how many pieces without a wait other calls get their turn."""


@dataclass(frozen=True, slots=True)
class Plan:
    """An answer before it is given.

    Args:
        pieces: one a token.
        finish_reason: why it ends.
        reasoning_tokens: how many of the pieces are reasoning.
    """

    pieces: Sequence[ChatDelta]
    finish_reason: FinishReason
    reasoning_tokens: int


async def answer(request: ChatRequest, config: RepeaterConfig, defaults: Control) -> AsyncGenerator[ChatDelta, None]:
    """Answers token by token, all choices alike and side by side.

    Args:
        request: the conversation.
        config: has the context's length.
        defaults: what holds where the message has no control.

    Raises:
        InvalidRequestError: no message has the role user, a control is wrong, or the context is too short.
    """
    said = last_user_text(request.messages)
    if said is None:
        raise InvalidRequestError("no message has the role user, so there is nothing to repeat", "messages")
    text, control = parse(said, defaults, "messages")
    prompt_tokens = conversation_tokens(request.messages, request.tools)
    limit = request.sampling.max_tokens if request.sampling.HasField("max_tokens") else None
    plan = _plan(request, text, control, config.room(prompt_tokens, limit, "messages"))
    choices = range(request.n if request.HasField("n") else 1)
    for position, piece in enumerate(plan.pieces):
        await control.pace(position)
        if position % BREATH == BREATH - 1:
            await asyncio.sleep(0)
        for index in choices:
            yield replace(piece, index=index) if index else piece
    await control.fail_at_end(len(plan.pieces))
    usage = Usage(
        prompt_tokens=prompt_tokens,
        completion_tokens=len(plan.pieces) * len(choices),
        reasoning_tokens=plan.reasoning_tokens * len(choices) or None,
    )
    reason = plan.finish_reason if control.finish is None else control.finish
    for index in choices:
        last = control.usage and index == choices[-1]
        yield ChatDelta(finish_reason=reason, index=index, usage=usage if last else None)


def _plan(request: ChatRequest, text: str, control: Control, room: int | None) -> Plan:
    reasoning = [ChatDelta(reasoning=token) for token in tokens(_reasoning(request, control))]
    left = None if room is None else max(0, room - len(reasoning))
    called = _called(request, control)
    if control.refusal:
        whole, reason = [_refusal(token, at, request) for at, token in enumerate(tokens(control.refusal))], None
    elif called:
        whole, reason = _calls(request, called, text), FINISH_REASON_TOOL_CALLS
    else:
        generated = generate(tokens(_formatted(request, text)), request.sampling, left, control.tokens)
        whole = [_text(token, at, request) for at, token in enumerate(generated.tokens)]
        reason = generated.finish_reason
    pieces = [*reasoning, *whole][:room]
    if len(pieces) < len(reasoning) + len(whole):
        reason = FINISH_REASON_LENGTH
    return Plan(pieces, reason or FINISH_REASON_STOP, min(len(reasoning), len(pieces)))


def _reasoning(request: ChatRequest, control: Control) -> str:
    if control.reasoning:
        return control.reasoning
    if request.reasoning_effort in ("", "none"):
        return ""
    return f"The user wants an echo; the effort is {request.reasoning_effort}."


def _formatted(request: ChatRequest, text: str) -> str:
    form: ResponseFormat = request.response_format
    match form.WhichOneof("format"):
        case "json_object":
            return json.dumps({"echo": text}, ensure_ascii=False)
        case "json_schema":
            schema = form.json_schema.schema or '{"type": "object"}'
            made = instance(schema, text, "response_format.json_schema.schema")
            return json.dumps(made, ensure_ascii=False)
    return text


def _called(request: ChatRequest, control: Control) -> list[Tool]:
    """The tools to call: those of the control, else the first where a call is required."""
    tools = {tool.name: tool for tool in request.tools}
    choice = request.tool_choice
    allowed = list(choice.allowed) or list(tools)
    if unknown := [name for name in control.calls if name not in allowed]:
        raise InvalidRequestError(f"the control calls {unknown[0]!r}, which is no tool that may be called", "tools")
    match choice.mode:
        case ToolChoice.MODE_NONE:
            names: Sequence[str] = []
        case ToolChoice.MODE_FUNCTION:
            names = [choice.function]
        case ToolChoice.MODE_REQUIRED:
            names = control.calls or allowed[:1]
        case _:
            names = control.calls
    if request.HasField("parallel_tool_calls") and not request.parallel_tool_calls:
        names = names[:1]
    return [tools[name] for name in names]


def _calls(request: ChatRequest, called: Sequence[Tool], text: str) -> list[ChatDelta]:
    pieces: list[ChatDelta] = []
    for index, tool in enumerate(called):
        # The number of messages makes the id unique in the conversation.
        seed = f"{len(request.messages)}/{index}/{tool.name}/{text}".encode()
        call_id = f"call_{hashlib.sha256(seed).hexdigest()[:24]}"
        pieces.append(ChatDelta(tool_calls=[ToolCallDelta(index=index, id=call_id, name=tool.name)]))
        arguments = json.dumps(_arguments(tool, text), ensure_ascii=False)
        for start in range(0, len(arguments), ARGUMENTS_PIECE):
            piece = ToolCallDelta(index=index, arguments=arguments[start : start + ARGUMENTS_PIECE])
            pieces.append(ChatDelta(tool_calls=[piece]))
    return pieces


def _arguments(tool: Tool, text: str) -> object:
    if not tool.HasField("parameters"):
        return {}
    schema = json.loads(tool.parameters)
    if not schema.get("properties"):
        return {"text": text}
    # Optional arguments are given too: an empty object would tell a test nothing.
    whole = {**schema, "required": list(schema["properties"])}
    return instance(json.dumps(whole), text, "tools")


def _text(token: str, position: int, request: ChatRequest) -> ChatDelta:
    if not request.logprobs:
        return ChatDelta(token)
    found = ChatLogprobs(content=[logprob(token, position, request.top_logprobs)])
    return ChatDelta(token, logprobs=found)


def _refusal(token: str, position: int, request: ChatRequest) -> ChatDelta:
    if not request.logprobs:
        return ChatDelta(refusal=token)
    found = ChatLogprobs(refusal=[logprob(token, position, request.top_logprobs)])
    return ChatDelta(refusal=token, logprobs=found)
