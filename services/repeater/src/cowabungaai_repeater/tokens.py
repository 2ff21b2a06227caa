# SPDX-License-Identifier: Apache-2.0
"""The repeater's tokens: a token is a word with the white space before it."""

import re
from collections.abc import Sequence
from itertools import cycle, islice

from cowabungaai_sdk.v1.chat_pb2 import ROLE_USER, ChatMessage, ContentPart, Tool
from cowabungaai_sdk.v1.common_pb2 import TextInput

_TOKEN = re.compile(r"\s*\S+|\s+")


def tokens(text: str) -> list[str]:
    """Splits a text into tokens; joined they are the text again.

    Args:
        text: any text.
    """
    return _TOKEN.findall(text)


def lengthened(whole: list[str], count: int) -> list[str]:
    """Repeats tokens until there are enough.

    Args:
        whole: the tokens; where there are none, the word `repeat` stands in.
        count: how many are wanted.
    """
    again = [" " + (token.strip() or "repeat") for token in whole or ["repeat"]]
    first = whole or [again[0].strip()]
    return [*first, *islice(cycle(again), max(0, count - len(first)))][:count]


def input_tokens(found: TextInput) -> list[str]:
    """The tokens of a text, or of ids, which are written as numbers.

    Args:
        found: either.
    """
    if found.WhichOneof("input") == "tokens":
        return [f"{' ' if position else ''}{number}" for position, number in enumerate(found.tokens.ids)]
    return tokens(found.text)


def part_text(part: ContentPart) -> str:
    """A part of a message as text; files are described.

    Args:
        part: any part.
    """
    match part.WhichOneof("part"):
        case "image":
            return f"[image {part.image.media_type or 'of unknown type'} {len(part.image.data)} bytes]"
        case "audio":
            return f"[audio {part.audio.format or 'of unknown format'} {len(part.audio.data)} bytes]"
        case "file":
            named = f" {part.file.filename}" if part.file.filename else ""
            return f"[file {part.file.media_type or 'of unknown type'}{named} {len(part.file.data)} bytes]"
        case "refusal":
            return part.refusal
    return part.text


def message_text(message: ChatMessage) -> str:
    """A message's content as text.

    Args:
        message: any message.
    """
    return "".join(map(part_text, message.content))


def last_user_text(messages: Sequence[ChatMessage]) -> str | None:
    """What the user said last; None where no message is the user's.

    Args:
        messages: the conversation.
    """
    return next((message_text(message) for message in reversed(messages) if message.role == ROLE_USER), None)


def conversation_tokens(messages: Sequence[ChatMessage], tools: Sequence[Tool]) -> int:
    """How many tokens a conversation has, tool calls and tools included.

    Args:
        messages: the conversation.
        tools: the functions offered.
    """
    texts = [message_text(message) for message in messages]
    texts += [f"{call.name} {call.arguments}" for message in messages for call in message.tool_calls]
    texts += [" ".join(filter(None, [tool.name, tool.description, tool.parameters])) for tool in tools]
    return sum(len(tokens(text)) for text in texts)
