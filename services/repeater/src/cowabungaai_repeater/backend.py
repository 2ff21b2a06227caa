"""The echo and its tokens."""

import re
from collections.abc import AsyncGenerator, Sequence

from cowabungaai_sdk.backend import ChatDelta
from cowabungaai_sdk.errors import InvalidRequestError
from cowabungaai_sdk.v1.chat_pb2 import (
    FINISH_REASON_LENGTH,
    FINISH_REASON_STOP,
    ROLE_USER,
    ChatMessage,
    ChatRequest,
    Usage,
)
from cowabungaai_sdk.v1.models_pb2 import CAPABILITY_CHAT, Model

MODEL = Model(
    id="repeater",
    created=1_735_689_600,  # 2025-01-01: fixed, so that answers are the same on every start
    owned_by="cowabungaai",
    capabilities=[CAPABILITY_CHAT],
)

_TOKEN = re.compile(r"\s*\S+|\s+")


def tokens(text: str) -> list[str]:
    """Splits a text into words, each with the white space before it; joined they are the text again.

    Args:
        text: any text.
    """
    return _TOKEN.findall(text)


class Repeater:
    """Answers a conversation with its last user message.

    The answer is the same whatever temperature, top_p and seed are: nothing is sampled.
    """

    async def load(self) -> None:
        """Does nothing: there is no model."""

    async def close(self) -> None:
        """Does nothing."""

    def models(self) -> Sequence[Model]:
        """The one model, `repeater`."""
        return [MODEL]

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        """Echoes token by token, up to a stop sequence or max_tokens.

        Args:
            request: the conversation.

        Raises:
            InvalidRequestError: no message has the role user.
        """
        text = _before_stop(_last_user_text(request.messages), request.stop)
        whole = tokens(text)
        limit = request.max_tokens if request.HasField("max_tokens") else len(whole)
        for token in whole[:limit]:
            yield ChatDelta(token)
        yield ChatDelta(
            finish_reason=FINISH_REASON_LENGTH if limit < len(whole) else FINISH_REASON_STOP,
            usage=Usage(
                prompt_tokens=sum(len(tokens(_text(message))) for message in request.messages),
                completion_tokens=min(limit, len(whole)),
            ),
        )


def _text(message: ChatMessage) -> str:
    return "".join(part.text for part in message.content)


def _last_user_text(messages: Sequence[ChatMessage]) -> str:
    for message in reversed(messages):
        if message.role == ROLE_USER:
            return _text(message)
    raise InvalidRequestError("no message has the role user, so there is nothing to repeat", "messages")


def _before_stop(text: str, stops: Sequence[str]) -> str:
    found = [position for stop in stops if (position := text.find(stop)) >= 0]
    return text[: min(found)] if found else text
