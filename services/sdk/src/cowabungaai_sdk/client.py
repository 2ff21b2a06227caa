"""Typed client of a backend: one connection, used by any number of calls at once."""

from collections.abc import AsyncGenerator, Sequence
from types import TracebackType
from typing import Self

import grpc

from cowabungaai_sdk.channels import MESSAGE_BYTES, client_options
from cowabungaai_sdk.errors import error_from_rpc
from cowabungaai_sdk.v1.chat_pb2 import ChatChunk, ChatRequest, ChatResponse
from cowabungaai_sdk.v1.chat_pb2_grpc import ChatServiceStub
from cowabungaai_sdk.v1.models_pb2 import ListModelsRequest, ListModelsResponse, Model
from cowabungaai_sdk.v1.models_pb2_grpc import ModelServiceStub


class ChatClient:
    """Calls one chat backend. Make it, use it and close it in the same event loop.

    The connection is made by the first call, kept, and made again when it broke.
    All methods raise BackendError's subclasses, and nothing else, for what goes wrong on the way.

    Args:
        target: `HOST:PORT` of the backend.
        timeout_s: deadline of a whole call unless the call says another, in seconds.
        max_message_bytes: the largest message sent or received, in bytes.
    """

    def __init__(self, target: str, timeout_s: float = 600.0, max_message_bytes: int = MESSAGE_BYTES) -> None:
        self.target = target
        self._timeout_s = timeout_s
        self._channel = grpc.aio.insecure_channel(target, options=client_options(max_message_bytes))
        self._chat = ChatServiceStub(self._channel)
        self._models = ModelServiceStub(self._channel)

    async def chat(self, request: ChatRequest, timeout_s: float | None = None) -> ChatResponse:
        """Asks for an answer in one message.

        Args:
            request: the conversation.
            timeout_s: deadline of this call in seconds.

        Raises:
            BackendError: what the backend raised, or the connection's failure.
        """
        try:
            response: ChatResponse = await self._chat.Chat(request, timeout=timeout_s or self._timeout_s)
        except grpc.aio.AioRpcError as error:
            raise error_from_rpc(error, self.target) from error
        return response

    async def stream(self, request: ChatRequest, timeout_s: float | None = None) -> AsyncGenerator[ChatChunk, None]:
        """Asks for an answer piece by piece; closing the generator cancels the backend's work.

        Args:
            request: the conversation.
            timeout_s: deadline of the whole stream in seconds.

        Yields:
            The chunks; the last has the finish reason and the usage.

        Raises:
            BackendError: what the backend raised, or the connection's failure; maybe after some chunks.
        """
        call = self._chat.ChatStream(request, timeout=timeout_s or self._timeout_s)
        try:
            async for chunk in call:
                yield chunk
        except grpc.aio.AioRpcError as error:
            raise error_from_rpc(error, self.target) from error
        finally:
            call.cancel()

    async def models(self, timeout_s: float | None = None) -> Sequence[Model]:
        """Asks which models the backend serves; the first is its default.

        Args:
            timeout_s: deadline of this call in seconds.

        Raises:
            BackendError: what the backend raised, or the connection's failure.
        """
        try:
            response: ListModelsResponse = await self._models.ListModels(
                ListModelsRequest(), timeout=timeout_s or self._timeout_s
            )
        except grpc.aio.AioRpcError as error:
            raise error_from_rpc(error, self.target) from error
        return list(response.models)

    async def close(self) -> None:
        """Closes the connection; calls in flight are cancelled."""
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
