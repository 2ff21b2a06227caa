# SPDX-License-Identifier: Apache-2.0
"""Conversations of the contract as chat templates take them."""

import json
from collections.abc import Sequence
from typing import Any

from cowabungaai_llama_cpp.templates import ChatTemplate, RefusedError
from cowabungaai_sdk import templates
from cowabungaai_sdk.errors import InvalidRequestError
from cowabungaai_sdk.v1.chat_pb2 import ChatMessage, Tool

INSTRUCTION = """You can call these functions:
{tools}
To call one, answer with nothing but JSON of the form {{"name": "the function's name", "arguments": {{...}}}}."""
"""How a model is told of tools by us, where its template does not do it."""


def check_size(messages: Sequence[ChatMessage], tools: Sequence[Tool], limit: int, param: str) -> None:
    """Refuses what cannot fit the context for certain, before any work is done with it.

    Args:
        messages: the conversation.
        tools: the functions offered.
        limit: the most bytes of text that fit.
        param: the parameter to name.

    Raises:
        InvalidRequestError: it is too long.
    """
    size = sum(message.ByteSize() for message in messages) + sum(tool.ByteSize() for tool in tools)
    files = sum(
        part.ByteSize() for message in messages for part in message.content if part.WhichOneof("part") != "text"
    )
    if size - files > limit:
        message = f"{param} has {size - files} bytes of text, which exceed the context: {limit} bytes at the very most"
        raise InvalidRequestError(message, param, "context_length_exceeded")


def write(
    template: ChatTemplate, messages: Sequence[ChatMessage], tools: Sequence[Tool], param: str, **variables: Any
) -> str:
    """A conversation as the model reads it.

    Args:
        template: how.
        messages: the conversation.
        tools: the functions offered.
        param: the parameter that has the messages, for errors.
        variables: further ones for the template.

    Raises:
        InvalidRequestError: a message has a file, or the template cannot write the conversation.
    """
    found = [templates.message(message, _text(message, f"{param}[{index}]")) for index, message in enumerate(messages)]
    offered = [templates.function(tool) for tool in tools]
    if not template.knows_tools:
        found = _without_tools(found, offered)
        offered = []
    try:
        return template.render(found, offered or None, **variables)
    except RefusedError as error:
        raise InvalidRequestError(f"the model's chat template cannot write {param}: {error}", param) from error


def _text(message: ChatMessage, where: str) -> str:
    texts = []
    for index, part in enumerate(message.content):
        match part.WhichOneof("part"):
            case "text":
                texts.append(part.text)
            case "refusal":
                texts.append(part.refusal)
            case kind:
                raise InvalidRequestError(
                    f"the model reads text only, and this part is of the kind {kind}", f"{where}.content[{index}]"
                )
    return "\n".join(texts) if len(texts) > 1 else "".join(texts)


def _without_tools(messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same conversation for templates without tools: told by us, calls as JSON, results as the user's words."""
    named = {call["id"]: call["function"]["name"] for message in messages for call in message.get("tool_calls", ())}
    found = []
    for message in messages:
        content = message["content"]
        if message["role"] == "tool":
            name = named.get(message.get("tool_call_id", ""), "the function")
            found.append({"role": "user", "content": f"Result of {name}:\n{content}"})
        elif calls := message.get("tool_calls"):
            texts = [content] if content else []
            texts += [json.dumps(call["function"], ensure_ascii=False) for call in calls]
            found.append({"role": "assistant", "content": "\n".join(texts)})
        else:
            found.append({key: value for key, value in message.items() if key != "tool_calls"})
    if tools:
        lines = "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in tools)
        instruction = INSTRUCTION.format(tools=lines)
        if found and found[0]["role"] == "system":
            found[0] = {**found[0], "content": f"{found[0]['content']}\n\n{instruction}"}
        else:
            found.insert(0, {"role": "system", "content": instruction})
    return found
