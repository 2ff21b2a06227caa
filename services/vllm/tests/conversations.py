# SPDX-License-Identifier: Apache-2.0
"""Short ways to write conversations and to read answers."""

from cowabungaai_sdk.v1.chat_pb2 import ROLE_USER, ChatMessage, ChatRequest, ChatResponse, ContentPart, Tool, ToolChoice
from cowabungaai_sdk.v1.common_pb2 import Sampling

WEATHER = Tool(
    name="weather",
    parameters='{"type": "object", "properties": {"city": {"$ref": "#/$defs/City"}}, "required": ["city"],'
    ' "$defs": {"City": {"type": "string"}}}',
)
CLOCK = Tool(name="clock")


def said(text: str, **parameters: object) -> ChatRequest:
    """What one user says; parameters that Sampling has go there."""
    names = Sampling.DESCRIPTOR.fields_by_name
    sampling = Sampling(**{name: value for name, value in parameters.items() if name in names})
    others = {name: value for name, value in parameters.items() if name not in names}
    message = ChatMessage(role=ROLE_USER, content=[ContentPart(text=text)])
    return ChatRequest(**{"model": "small", "messages": [message], "sampling": sampling, **others})


def choice(mode: "ToolChoice.Mode", **more: object) -> ToolChoice:
    """Whether tools are called."""
    return ToolChoice(mode=mode, **more)


def text_of(response: ChatResponse, index: int = 0) -> str:
    """An answer's text."""
    return "".join(part.text for part in response.choices[index].message.content)
