# SPDX-License-Identifier: Apache-2.0
"""The client's side of a stream of requests: audio on its way to a backend."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import grpc

from cowabungaai_sdk.v1.audio_pb2 import TranscribeOptions, TranscribeRequest

PIECE_BYTES = 256 * 1024
"""The most audio in one message, in bytes: enough to make the messages' cost small, little enough to flow."""

CORE_ERROR = "Internal error from Core"
"""What grpc.aio says where it cannot write, whatever the reason."""
STATUS_S = 1.0
"""How long the backend's own status may take to come after that, in seconds."""


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

    A request that is written while the answer's status arrives makes grpc.aio put a status of its own in that one's
    place (its issue 36066). Here the first other status is kept, and is what the body ends with.

    Args:
        call: a call that takes a stream of requests.
        requests: what to send.
    """

    def __init__(self, call: Any, requests: AsyncGenerator[TranscribeRequest, None]) -> None:
        self._call = call
        self._requests = requests
        self._task: asyncio.Task[None] | None = None
        self._status: grpc.aio.AioRpcError | None = None
        self._has_status = asyncio.Event()

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

    def _keep_status(self, call: Any) -> None:
        """Runs whenever the call gets a status: only now is it sure to be there."""
        code, details = _at_once(call.code()), _at_once(call.details())
        if self._status is None and details != CORE_ERROR:
            begun, ended = _at_once(call.initial_metadata()), _at_once(call.trailing_metadata())
            self._status = grpc.aio.AioRpcError(code, begun, ended, details)
            self._has_status.set()

    async def __aenter__(self) -> Self:
        self._call.add_done_callback(self._keep_status)
        self._task = asyncio.create_task(self._send())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        assert self._task is not None  # noqa: S101 - set on entry
        is_replaced = isinstance(error, grpc.aio.AioRpcError) and error.details() == CORE_ERROR
        if is_replaced:
            # Before the sender is cancelled: that would cancel the call, and its status would never come. Where none
            # comes, the error that is there stands.
            with suppress(TimeoutError):
                await asyncio.wait_for(self._has_status.wait(), STATUS_S)
        if not self._task.done():
            self._task.cancel()
        await asyncio.wait([self._task])
        if not self._task.cancelled() and (failure := self._task.exception()) is not None:
            raise failure
        if is_replaced and self._status is not None:
            if self._status.code() is grpc.StatusCode.OK:
                return True
            raise self._status from error
        return False


def _at_once(reading: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that has nothing to wait for."""
    try:
        reading.send(None)
    except StopIteration as done:
        return done.value
    raise RuntimeError("grpc.aio said that a call had ended, but not how")
