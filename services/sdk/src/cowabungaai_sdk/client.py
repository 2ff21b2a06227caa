# SPDX-License-Identifier: Apache-2.0
"""Typed client of a backend: one connection, used by any number of calls at once."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cowabungaai_sdk.channels import MESSAGE_BYTES, client_options
from cowabungaai_sdk.errors import BackendFailedError, BackendUnavailableError, error_from_rpc
from cowabungaai_sdk.uploads import Uploading, requests_of
from cowabungaai_sdk.v1.audio_pb2 import TranscribeOptions, Transcription, TranscriptionChunk
from cowabungaai_sdk.v1.audio_pb2_grpc import AudioServiceStub
from cowabungaai_sdk.v1.chat_pb2 import ChatChunk, ChatRequest, ChatResponse
from cowabungaai_sdk.v1.chat_pb2_grpc import ChatServiceStub
from cowabungaai_sdk.v1.completion_pb2 import CompletionChunk, CompletionRequest, CompletionResponse
from cowabungaai_sdk.v1.completion_pb2_grpc import CompletionServiceStub
from cowabungaai_sdk.v1.embedding_pb2 import EmbeddingRequest, EmbeddingResponse
from cowabungaai_sdk.v1.embedding_pb2_grpc import EmbeddingServiceStub
from cowabungaai_sdk.v1.models_pb2 import ListModelsRequest, ListModelsResponse, Model
from cowabungaai_sdk.v1.models_pb2_grpc import ModelServiceStub
from cowabungaai_sdk.v1.tokens_pb2 import CountTokensRequest, CountTokensResponse
from cowabungaai_sdk.v1.tokens_pb2_grpc import TokenServiceStub

Metadata = Sequence[tuple[str, str]]


class BackendClient:
    """Calls one backend. Make it, use it and close it in the same event loop.

    The connection is made by the first call, kept, and made again when it broke. All methods raise BackendError's
    subclasses, and nothing else, for what goes wrong on the way. Cancelling the task that awaits a method, or closing
    a stream's generator, cancels the backend's work at once.

    Every method takes `timeout_s`, the deadline of the whole call in seconds, and `metadata`, pairs of lower-case
    names and values that go along, such as a trace's `traceparent`.

    A retry repeats only what surely had no effect: a call for which there was no connection. A call that broke on the
    way, or that the backend itself refused, is not repeated; nor are transcriptions, since their audio is read once,
    nor streams, which the caller can repeat with more knowledge.

    Args:
        target: `HOST:PORT` of the backend.
        timeout_s: deadline of a whole call unless the call says another, in seconds.
        max_message_bytes: the largest message sent or received, in bytes.
        retries: how often a call is tried again; the waits grow from 0.1 to 2 seconds.
    """

    def __init__(
        self, target: str, timeout_s: float = 600.0, max_message_bytes: int = MESSAGE_BYTES, retries: int = 0
    ) -> None:
        self.target = target
        self._timeout_s = timeout_s
        self._retries = retries
        self._channel = grpc.aio.insecure_channel(target, options=client_options(max_message_bytes))
        self._chat = ChatServiceStub(self._channel)
        self._completion = CompletionServiceStub(self._channel)
        self._embedding = EmbeddingServiceStub(self._channel)
        self._audio = AudioServiceStub(self._channel)
        self._tokens = TokenServiceStub(self._channel)
        self._models = ModelServiceStub(self._channel)
        self._health = health_pb2_grpc.HealthStub(self._channel)

    async def chat(
        self, request: ChatRequest, *, timeout_s: float | None = None, metadata: Metadata | None = None
    ) -> ChatResponse:
        """Asks for an answer in one message.

        Args:
            request: the conversation.
            timeout_s: see the class.
            metadata: see the class.

        Raises:
            BackendError: what the backend raised, or the connection's failure.
        """
        response: ChatResponse = await self._unary(self._chat.Chat, request, timeout_s, metadata)
        return response

    def chat_stream(
        self, request: ChatRequest, *, timeout_s: float | None = None, metadata: Metadata | None = None
    ) -> AsyncGenerator[ChatChunk, None]:
        """Asks for an answer piece by piece.

        Args:
            request: the conversation.
            timeout_s: see the class.
            metadata: see the class.

        Yields:
            The chunks; the last has the usage.

        Raises:
            BackendError: as chat; maybe after some chunks.
        """
        return self._stream(self._chat.ChatStream, request, timeout_s, metadata)

    async def complete(
        self, request: CompletionRequest, *, timeout_s: float | None = None, metadata: Metadata | None = None
    ) -> CompletionResponse:
        """Asks for prompts to be continued, in one message. Arguments and errors as chat's."""
        response: CompletionResponse = await self._unary(self._completion.Complete, request, timeout_s, metadata)
        return response

    def complete_stream(
        self, request: CompletionRequest, *, timeout_s: float | None = None, metadata: Metadata | None = None
    ) -> AsyncGenerator[CompletionChunk, None]:
        """Asks for prompts to be continued piece by piece. Arguments, chunks and errors as chat_stream's."""
        return self._stream(self._completion.CompleteStream, request, timeout_s, metadata)

    async def embed(
        self, request: EmbeddingRequest, *, timeout_s: float | None = None, metadata: Metadata | None = None
    ) -> EmbeddingResponse:
        """Asks for texts as vectors. Arguments and errors as chat's."""
        response: EmbeddingResponse = await self._unary(self._embedding.Embed, request, timeout_s, metadata)
        return response

    async def transcribe(
        self,
        options: TranscribeOptions,
        audio: AsyncIterable[bytes],
        *,
        timeout_s: float | None = None,
        metadata: Metadata | None = None,
    ) -> Transcription:
        """Asks for speech as text, in one message.

        Args:
            options: what to do with the speech.
            audio: the file's bytes, in pieces of any size; what it raises is raised here.
            timeout_s: see the class.
            metadata: see the class.

        Raises:
            BackendError: what the backend raised, or the connection's failure.
        """
        call = self._audio.Transcribe(timeout=self._deadline(timeout_s), metadata=metadata)
        try:
            with self._errors():
                async with Uploading(call, requests_of(options, audio)):
                    answer: Transcription = await call
                    return answer
        finally:
            call.cancel()
        raise BackendFailedError(f"the backend at {self.target} ended the call without an answer")

    async def transcribe_stream(
        self,
        options: TranscribeOptions,
        audio: AsyncIterable[bytes],
        *,
        timeout_s: float | None = None,
        metadata: Metadata | None = None,
    ) -> AsyncGenerator[TranscriptionChunk, None]:
        """Asks for speech as text, segment by segment. Arguments and errors as transcribe's.

        Yields:
            The chunks; the last has the facts of the whole.
        """
        call = self._audio.TranscribeStream(timeout=self._deadline(timeout_s), metadata=metadata)
        try:
            with self._errors():
                async with Uploading(call, requests_of(options, audio)):
                    async for chunk in call:
                        yield chunk
        finally:
            call.cancel()

    async def count_tokens(
        self, request: CountTokensRequest, *, timeout_s: float | None = None, metadata: Metadata | None = None
    ) -> CountTokensResponse:
        """Asks how many tokens an input has. Arguments and errors as chat's."""
        response: CountTokensResponse = await self._unary(self._tokens.CountTokens, request, timeout_s, metadata)
        return response

    async def models(self, *, timeout_s: float | None = None, metadata: Metadata | None = None) -> Sequence[Model]:
        """Asks which models the backend serves; the first is its default. Arguments and errors as chat's."""
        response: ListModelsResponse = await self._unary(
            self._models.ListModels, ListModelsRequest(), timeout_s, metadata
        )
        return list(response.models)

    async def check_health(self, *, timeout_s: float | None = None, metadata: Metadata | None = None) -> bool:
        """Asks whether the whole backend serves: it has loaded and does not drain. Arguments and errors as chat's."""
        request = health_pb2.HealthCheckRequest()
        answer: health_pb2.HealthCheckResponse = await self._unary(
            self._health.Check,  # type: ignore[attr-defined]  # the stubs forgot it
            request,
            timeout_s,
            metadata,
        )
        return answer.status == health_pb2.HealthCheckResponse.SERVING

    async def close(self) -> None:
        """Closes the connection; calls in flight end with BackendUnavailableError."""
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _deadline(self, timeout_s: float | None) -> float:
        return self._timeout_s if timeout_s is None else timeout_s

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turns gRPC's errors into BackendError's subclasses."""
        try:
            yield
        except grpc.aio.AioRpcError as error:
            state = self._channel.get_state()
            raise error_from_rpc(error, self.target, ready=state is grpc.ChannelConnectivity.READY) from error
        except asyncio.CancelledError as error:
            # gRPC cancels the calls of a connection that is closed, though nobody cancelled their tasks.
            if (task := asyncio.current_task()) is None or task.cancelling():
                raise
            raise BackendUnavailableError(f"the connection to the backend at {self.target} was closed") from error

    async def _unary(self, method: Any, request: object, timeout_s: float | None, metadata: Metadata | None) -> Any:
        if self._retries:
            return await _retry(self._retries, self._once, method, request, timeout_s, metadata)
        return await self._once(method, request, timeout_s, metadata)

    async def _once(self, method: Any, request: object, timeout_s: float | None, metadata: Metadata | None) -> Any:
        with self._errors():
            return await method(request, timeout=self._deadline(timeout_s), metadata=metadata)

    async def _stream(
        self, method: Any, request: object, timeout_s: float | None, metadata: Metadata | None
    ) -> AsyncGenerator[Any, None]:
        call = method(request, timeout=self._deadline(timeout_s), metadata=metadata)
        try:
            with self._errors():
                async for chunk in call:
                    yield chunk
        finally:
            call.cancel()


async def _retry(retries: int, once: Callable[..., Awaitable[Any]], *arguments: object) -> Any:
    # Imported by those who ask for it: it takes longer than all of the rest of this module.
    from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

    attempts = AsyncRetrying(
        stop=stop_after_attempt(retries + 1),
        wait=wait_random_exponential(multiplier=0.1, min=0.1, max=2),
        retry=retry_if_exception(lambda error: isinstance(error, BackendUnavailableError) and not error.connected),
        reraise=True,
    )
    return await attempts(once, *arguments)
