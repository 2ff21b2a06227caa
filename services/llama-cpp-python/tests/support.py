# SPDX-License-Identifier: Apache-2.0
"""Short ways to write requests and to read answers."""

import json
from typing import Any

from cowabungaai_sdk.client import BackendClient
from cowabungaai_sdk.v1.chat_pb2 import ROLE_USER, ChatMessage, ChatRequest, ContentPart, ResponseFormat, Tool
from cowabungaai_sdk.v1.common_pb2 import Sampling, TextInput, TokenIds
from cowabungaai_sdk.v1.completion_pb2 import CompletionRequest

MODEL_ID = "gemma"

WEATHER = Tool(
    name="get_weather",
    description="Current weather of a city",
    parameters=json.dumps(
        {
            "type": "object",
            "properties": {
                "city": {"type": "string", "maxLength": 20},
                "days": {"type": "integer", "minimum": 1, "maximum": 7},
            },
            "required": ["city", "days"],
            "additionalProperties": False,
        }
    ),
)
CLOCK = Tool(name="get_time", description="The time", parameters='{"type": "object", "properties": {}}')


def conversation(*turns: tuple[int, str], **parameters: Any) -> ChatRequest:
    """A request; parameters that Sampling has go there. Greedy where nothing else is said."""
    messages = [ChatMessage(role=role, content=[ContentPart(text=text)]) for role, text in turns]
    sampling, others = _split(parameters)
    return ChatRequest(**{"model": MODEL_ID, "messages": messages, "sampling": sampling, **others})


def said(text: str, **parameters: Any) -> ChatRequest:
    """What one user says."""
    return conversation((ROLE_USER, text), **parameters)


def prompted(*prompts: str | list[int], **parameters: Any) -> CompletionRequest:
    """A request to continue texts, or tokens."""
    inputs = [
        TextInput(text=prompt) if isinstance(prompt, str) else TextInput(tokens=TokenIds(ids=prompt))
        for prompt in prompts
    ]
    sampling, others = _split(parameters)
    return CompletionRequest(**{"model": MODEL_ID, "prompts": inputs, "sampling": sampling, **others})


def schema(found: object) -> ResponseFormat:
    """The response format of a schema."""
    return ResponseFormat(json_schema={"name": "x", "schema": json.dumps(found)})


async def answer(client: BackendClient, request: ChatRequest) -> tuple[str, int]:
    """The answer's text and finish reason."""
    choice = (await client.chat(request)).choices[0]
    return "".join(part.text for part in choice.message.content), choice.finish_reason


async def continued(client: BackendClient, request: CompletionRequest) -> tuple[str, int]:
    """The first continuation's text and finish reason."""
    choice = (await client.complete(request)).choices[0]
    return choice.text, choice.finish_reason


def _split(parameters: dict[str, Any]) -> tuple[Sampling, dict[str, Any]]:
    names = Sampling.DESCRIPTOR.fields_by_name
    sampling = {"temperature": 0, **{name: value for name, value in parameters.items() if name in names}}
    return Sampling(**sampling), {name: value for name, value in parameters.items() if name not in names}
