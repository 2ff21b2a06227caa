"""Between OpenAI's JSON and the backends' protobuf: chat."""

from cowabungaai_api.schemas.chat_request import ChatCompletionRequest, Message
from cowabungaai_api.schemas.chat_response import (
    AssistantMessage,
    ChatCompletion,
    ChatCompletionChunk,
    Choice,
    ChunkChoice,
    Delta,
    FinishReason,
    Usage,
)
from cowabungaai_sdk.errors import BackendFailedError
from cowabungaai_sdk.v1 import chat_pb2

ROLES = {
    "system": chat_pb2.ROLE_SYSTEM,
    "developer": chat_pb2.ROLE_DEVELOPER,
    "user": chat_pb2.ROLE_USER,
    "assistant": chat_pb2.ROLE_ASSISTANT,
    "tool": chat_pb2.ROLE_TOOL,
}
FINISH_REASONS: dict[chat_pb2.FinishReason, FinishReason] = {
    chat_pb2.FINISH_REASON_STOP: "stop",
    chat_pb2.FINISH_REASON_LENGTH: "length",
}


def to_backend(request: ChatCompletionRequest, backend_model: str) -> chat_pb2.ChatRequest:
    """Writes a request as the backend reads it.

    Args:
        request: the client's request, checked.
        backend_model: the model's name at the backend.
    """
    return chat_pb2.ChatRequest(
        model=backend_model,
        messages=[_message(message) for message in request.messages],
        temperature=request.temperature,
        top_p=request.top_p,
        max_tokens=request.token_limit,
        seed=request.seed,
        stop=request.stop,
    )


def _message(message: Message) -> chat_pb2.ChatMessage:
    return chat_pb2.ChatMessage(
        role=ROLES[message.role],
        content=[chat_pb2.ContentPart(text=part.text) for part in message.content],
        name=message.name,
        tool_call_id=message.tool_call_id,
    )


def completion(response: chat_pb2.ChatResponse, model: str) -> ChatCompletion:
    """Writes a whole answer as OpenAI does.

    Args:
        response: the backend's answer.
        model: the name that the client used.

    Raises:
        BackendFailedError: the backend gave no finish reason.
    """
    return ChatCompletion(
        id=response.id,
        created=response.created,
        model=model,
        choices=[
            Choice(
                index=choice.index,
                message=AssistantMessage(content="".join(part.text for part in choice.message.content)),
                finish_reason=_finish_reason(choice.finish_reason),
            )
            for choice in response.choices
        ],
        usage=_usage(response.usage),
    )


class ChunkWriter:
    """Writes the chunks of one stream as OpenAI does: role once, then text, then the finish reason, then the usage.

    Args:
        first: the backend's first chunk: the stream's id and time come from it.
        model: the name that the client used.
        include_usage: end with a chunk of usage; all chunks before it then say that theirs is null.
    """

    def __init__(self, first: chat_pb2.ChatChunk, model: str, include_usage: bool) -> None:
        self._id = first.id
        self._created = first.created
        self._model = model
        self._include_usage = include_usage
        self._begun: set[int] = set()

    def write(self, chunk: chat_pb2.ChatChunk) -> list[str]:
        """Writes what one of the backend's chunks says.

        Args:
            chunk: the backend's next chunk.

        Returns:
            The JSON of each of OpenAI's chunks; there may be several, or none.
        """
        lines: list[str] = []
        for choice in chunk.choices:
            if choice.index not in self._begun:
                self._begun.add(choice.index)
                lines.append(self._line(choice.index, Delta(role="assistant", content="")))
            if choice.text:
                lines.append(self._line(choice.index, Delta(content=choice.text)))
            if choice.finish_reason:
                lines.append(self._line(choice.index, Delta(), _finish_reason(choice.finish_reason)))
        if self._include_usage and chunk.HasField("usage"):
            lines.append(self._json([], _usage(chunk.usage)))
        return lines

    def _line(self, index: int, delta: Delta, reason: FinishReason | None = None) -> str:
        return self._json([ChunkChoice(index=index, delta=delta, logprobs=None, finish_reason=reason)], None)

    def _json(self, choices: list[ChunkChoice], usage: Usage | None) -> str:
        chunk = ChatCompletionChunk(
            id=self._id, object="chat.completion.chunk", created=self._created, model=self._model, choices=choices
        )
        if self._include_usage:
            chunk.usage = usage
        return chunk.model_dump_json(exclude_unset=True)


def _usage(usage: chat_pb2.Usage) -> Usage:
    return Usage(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        total_tokens=usage.prompt_tokens + usage.completion_tokens,
    )


def _finish_reason(reason: chat_pb2.FinishReason) -> FinishReason:
    if (known := FINISH_REASONS.get(reason)) is None:
        raise BackendFailedError(f"the backend ended a choice with the unknown finish reason {reason}")
    return known
