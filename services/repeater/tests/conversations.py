# SPDX-License-Identifier: Apache-2.0
"""Short ways to write conversations and to read answers."""

from cowabungaai_sdk.client import BackendClient
from cowabungaai_sdk.v1.chat_pb2 import ROLE_USER, ChatMessage, ChatRequest, ContentPart
from cowabungaai_sdk.v1.common_pb2 import Sampling


def conversation(*turns: tuple[int, str], **parameters: object) -> ChatRequest:
    """A request; parameters that Sampling has go there."""
    messages = [ChatMessage(role=role, content=[ContentPart(text=text)]) for role, text in turns]
    names = Sampling.DESCRIPTOR.fields_by_name
    sampling = Sampling(**{name: value for name, value in parameters.items() if name in names})
    others = {name: value for name, value in parameters.items() if name not in names}
    return ChatRequest(**{"model": "repeater", "messages": messages, "sampling": sampling, **others})


def said(text: str, **parameters: object) -> ChatRequest:
    """What one user says."""
    return conversation((ROLE_USER, text), **parameters)


async def answer(client: BackendClient, request: ChatRequest) -> tuple[str, int]:
    """The answer's text and finish reason."""
    choice = (await client.chat(request)).choices[0]
    return "".join(part.text for part in choice.message.content), choice.finish_reason
