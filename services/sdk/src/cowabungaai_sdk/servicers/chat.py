"""ChatService on top of a ChatBackend."""

import secrets
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

from cowabungaai_sdk.backend import ChatBackend, ChatDelta
from cowabungaai_sdk.errors import BackendFailedError, InvalidRequestError, ModelNotFoundError
from cowabungaai_sdk.servicers.calls import Call, Calls, Context
from cowabungaai_sdk.v1.chat_pb2 import (
    FINISH_REASON_UNSPECIFIED,
    ROLE_ASSISTANT,
    ROLE_UNSPECIFIED,
    ChatChoice,
    ChatChoiceDelta,
    ChatChunk,
    ChatMessage,
    ChatRequest,
    ChatResponse,
    ContentPart,
    FinishReason,
    Usage,
)
from cowabungaai_sdk.v1.chat_pb2_grpc import ChatServiceServicer
from cowabungaai_sdk.v1.models_pb2 import CAPABILITY_CHAT


class ChatServicer(ChatServiceServicer):
    """Serves conversations.

    Args:
        backend: what answers them.
        calls: the server's calls.
    """

    def __init__(self, backend: ChatBackend, calls: Calls) -> None:
        self._backend = backend
        self._calls = calls

    async def Chat(self, request: ChatRequest, context: Context) -> ChatResponse:
        """Collects the backend's whole answer; see chat.proto."""
        answer = _Answer(ChatResponse(id=_answer_id(), created=int(time.time()), model=request.model))
        async with self._calls.serve("Chat", context) as call, aclosing(self._deltas(request, call)) as deltas:
            async for delta in deltas:
                answer.add(delta)
            return answer.complete()
        raise AssertionError("unreachable: serve aborts the call where the body raises")

    async def ChatStream(self, request: ChatRequest, context: Context) -> None:
        """Passes the backend's answer on as it comes; see chat.proto."""
        answer_id, created = _answer_id(), int(time.time())
        async with self._calls.serve("ChatStream", context) as call, aclosing(self._deltas(request, call)) as deltas:
            # Writing, rather than yielding, lets a cancellation reach the backend wherever this method waits.
            async for delta in deltas:
                choice = ChatChoiceDelta(index=delta.index, text=delta.text, finish_reason=delta.finish_reason)
                await context.write(
                    ChatChunk(id=answer_id, created=created, model=request.model, choices=[choice], usage=delta.usage)
                )

    async def _deltas(self, request: ChatRequest, call: Call) -> AsyncGenerator[ChatDelta, None]:
        """Checks the request, and that the backend keeps to its interface."""
        self._check(request)
        call.fields["model"] = request.model
        usage: Usage | None = None
        async with aclosing(self._backend.chat(request)) as deltas:
            async for delta in deltas:
                usage = delta.usage
                yield delta
        if usage is None:
            raise BackendFailedError("the backend's answer ended without usage")
        call.fields.update(prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens)

    def _check(self, request: ChatRequest) -> None:
        known = [model.id for model in self._backend.models() if CAPABILITY_CHAT in model.capabilities]
        if request.model not in known:
            raise ModelNotFoundError(f"no chat model {request.model!r} here; there is {', '.join(known)}")
        if not request.messages:
            raise InvalidRequestError("messages is empty; expected at least one message", "messages")
        for index, message in enumerate(request.messages):
            if message.role == ROLE_UNSPECIFIED:
                raise InvalidRequestError("the role is unset; expected one of Role", f"messages[{index}].role")


@dataclass(slots=True)
class _Answer:
    """A whole answer in the making.

    Args:
        response: the response without choices.
    """

    response: ChatResponse
    texts: dict[int, list[str]] = field(default_factory=dict)
    reasons: dict[int, FinishReason] = field(default_factory=dict)

    def add(self, delta: ChatDelta) -> None:
        self.texts.setdefault(delta.index, []).append(delta.text)
        if delta.finish_reason is not None:
            self.reasons[delta.index] = delta.finish_reason
        if delta.usage is not None:
            self.response.usage.CopyFrom(delta.usage)

    def complete(self) -> ChatResponse:
        for index, pieces in sorted(self.texts.items()):
            reason = self.reasons.get(index, FINISH_REASON_UNSPECIFIED)
            message = ChatMessage(role=ROLE_ASSISTANT, content=[ContentPart(text="".join(pieces))])
            self.response.choices.append(ChatChoice(index=index, message=message, finish_reason=reason))
        return self.response


def _answer_id() -> str:
    return f"chatcmpl-{secrets.token_hex(12)}"
