"""The client's side of a stream of requests: audio on its way to a backend."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable
from types import TracebackType
from typing import Any, Self

import grpc

from cowabungaai_sdk.v1.audio_pb2 import TranscribeOptions, TranscribeRequest

PIECE_BYTES = 256 * 1024
"""The most audio in one message, in bytes: enough to make the messages' cost small, little enough to flow."""

CORE_ERROR = "Internal error from Core"
"""What grpc.aio says where it cannot write, whatever the reason."""
STATUS_TRIES = 200
STATUS_PAUSE_S = 0.005
"""How often, and how far apart, the true status is looked for: for a second in all."""


async def requests_of(
    options: TranscribeOptions, audio: AsyncIterable[bytes]
) -> AsyncGenerator[TranscribeRequest, None]:
    """The messages that carry a file: first the options, then its bytes.

    Args:
        options: what to do with the audio.
        audio: the file's bytes, in pieces of any size.
    """
    yield TranscribeRequest(options=options)
    async for piece in audio:
        for start in range(0, len(piece), PIECE_BYTES):
            yield TranscribeRequest(audio=piece[start : start + PIECE_BYTES])


class Uploading:
    """Sends requests while the body reads the answer, as a context manager.

    gRPC's own way with an iterator swallows what the iterator raises. Here it is raised at the end of the body, instead
    of the cancellation that it causes. Where the backend answers before the end of the requests, the rest is not sent.

    Args:
        call: a call that takes a stream of requests.
        requests: what to send.
    """

    def __init__(self, call: Any, requests: AsyncGenerator[TranscribeRequest, None]) -> None:
        self._call = call
        self._requests = requests
        self._task: asyncio.Task[None] | None = None

    async def _send(self) -> None:
        try:
            async for request in self._requests:
                if not await self._accepted(self._call.write(request)):
                    return
            await self._accepted(self._call.done_writing())
        except BaseException:
            self._call.cancel()
            raise
        finally:
            await self._requests.aclose()

    @staticmethod
    async def _accepted(writing: Awaitable[None]) -> bool:
        """Whether the call takes more; where it ended already, the reader learns how."""
        try:
            await writing
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return False
        return True

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._send())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None  # noqa: S101 - set on entry
        truth = await self._truth(error) if isinstance(error, grpc.aio.AioRpcError) else None
        if not self._task.done():
            self._task.cancel()
        await asyncio.wait([self._task])
        if not self._task.cancelled() and (failure := self._task.exception()) is not None:
            raise failure
        if truth is not None:
            raise truth from error

    async def _truth(self, error: grpc.aio.AioRpcError) -> grpc.aio.AioRpcError | None:
        """The status that the backend gave, where gRPC shows one of its own first.

        A request that is written while the answer's status is on its way makes grpc.aio say that its core failed. The
        status replaces that as soon as the event loop has read it.
        """
        if error.details() != CORE_ERROR:
            return None
        for _ in range(STATUS_TRIES):
            if await self._call.details() != CORE_ERROR:
                break
            await asyncio.sleep(STATUS_PAUSE_S)
        return grpc.aio.AioRpcError(
            await self._call.code(),
            await self._call.initial_metadata(),
            await self._call.trailing_metadata(),
            await self._call.details(),
        )
