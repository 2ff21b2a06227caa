# SPDX-License-Identifier: Apache-2.0
"""One connection to a server that speaks HTTP/1.1: one parser of httptools, answers passed on as they come."""

import asyncio
from collections import deque
from contextlib import suppress
from typing import cast

import httptools

from cowabungaai_sdk.errors import BackendError, BackendFailedError, BackendTimeoutError, BackendUnavailableError

ANSWER_BYTES = 64 * 1024 * 1024
"""The largest whole answer, in bytes."""
HIGH_WATER = 256 * 1024
"""Bytes of an answer that wait for a slow client before the replica is told to pause."""


class Connection(asyncio.Protocol):
    """One connection; one exchange at a time."""

    __slots__ = (
        "_chunks",
        "_error",
        "_framed",
        "_loop",
        "_parser",
        "_paused",
        "_size",
        "_timer",
        "_waiter",
        "complete",
        "content_type",
        "idle_since",
        "keep",
        "retry_after",
        "started",
        "status",
        "transport",
    )

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._error: Exception | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.idle_since = 0.0
        self._reset()

    def _reset(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._paused = False
        self.status = 0
        self.content_type = b"application/json"
        self.retry_after: float | None = None
        self._framed = False
        self.started = False
        self.complete = False
        self.keep = False

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Feeds the parser."""
        if self.complete:
            self._fail(BackendFailedError("the server sent more than its answer"))
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(BackendFailedError(f"the answer is not HTTP: {error}"))

    def eof_received(self) -> None:
        """Lets the transport close."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the exchange in flight; where the answer told no length, its end is the connection's."""
        self.transport = None
        if self.started and not self._framed and not exc:
            self.complete = True
            self._wake()
        elif not self.complete:
            self._fail(BackendUnavailableError("the connection was closed before the answer was complete"))

    # What the parser calls.

    def on_message_begin(self) -> None:
        """Refuses what follows a complete answer: it would be taken for the answer to the next request."""
        if self.complete:
            raise BackendFailedError("the server sent more than its answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keeps the headers that matter."""
        match name.lower():
            case b"content-length" | b"transfer-encoding":
                self._framed = True
            case b"content-type":
                self.content_type = value
            case b"retry-after" if value.isdigit() and len(value) < 9:
                self.retry_after = float(value)

    def on_headers_complete(self) -> None:
        """Lets the reader see the status."""
        self.status = self._parser.get_status_code()
        # One below 200 only announces the answer.
        self.started = self.status >= 200
        self._wake()

    def on_body(self, body: bytes) -> None:
        """Keeps the next piece."""
        self._chunks.append(body)
        self._size += len(body)
        if self._size > HIGH_WATER and not self._paused and self.transport:
            self._paused = True
            self.transport.pause_reading()
        self._wake()

    def on_message_complete(self) -> None:
        """Ends the exchange."""
        if not self.started:
            return
        self.complete = True
        self.keep = self._parser.should_keep_alive()
        self._wake()

    # What the client calls.

    def send(self, deadline: float, *parts: bytes) -> None:
        """Begins an exchange.

        Args:
            deadline: when the answer must be complete, by the loop's clock.
            parts: the request's bytes.
        """
        self._reset()
        # A timer of the connection's own, since a timeout of asyncio must not span the yields of a generator.
        self._timer = self._loop.call_at(deadline, self._expire)
        assert self.transport is not None  # noqa: S101 - usable() was asked before
        self.transport.write(b"".join(parts))

    async def head(self) -> None:
        """Waits for the status.

        Raises:
            BackendError: the connection broke.
        """
        while not self.started:
            await self._wait()

    async def read(self) -> bytes:
        """Returns what has come since, waiting for it where nothing has; empty at the end.

        Raises:
            BackendError: the connection broke.
        """
        while not self._chunks:
            if self.complete:
                return b""
            await self._wait()
        data = self._chunks.popleft() if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._size = 0
        if self._paused and self.transport:
            self._paused = False
            self.transport.resume_reading()
        return data

    async def read_all(self) -> bytes:
        """Waits for the whole answer.

        Raises:
            BackendError: the connection broke, or the answer is larger than ANSWER_BYTES.
        """
        pieces, size = [], 0
        while piece := await self.read():
            pieces.append(piece)
            size += len(piece)
            if size > ANSWER_BYTES:
                raise BackendFailedError(f"the answer is larger than {ANSWER_BYTES} bytes")
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def drain(self, seconds: float) -> None:
        """Waits for the end of an answer of which nothing more is wanted; `complete` says whether it came.

        Args:
            seconds: how long.
        """
        if self.complete:
            return
        # All that is lost is the connection, which is not kept then.
        with suppress(BackendError, TimeoutError):
            async with asyncio.timeout(seconds):
                while not self.complete:
                    await self.read()

    @property
    def media_type(self) -> bytes:
        """The answer's, without parameters."""
        return self.content_type.partition(b";")[0].strip().lower()

    @property
    def is_json(self) -> bool:
        """Whether the answer says that it is JSON."""
        return self.media_type == b"application/json" or self.media_type.endswith(b"+json")

    @property
    def usable(self) -> bool:
        """Whether another exchange may begin."""
        return self.transport is not None and not self._error and not self.transport.is_closing()

    def rest(self) -> None:
        """Stops the exchange's timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        """Closes at once."""
        self.rest()
        if self.transport is not None:
            self.transport.abort()

    async def _wait(self) -> None:
        if self._error:
            raise self._error
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
        if self._error and not self._chunks:
            raise self._error

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _expire(self) -> None:
        self._fail(BackendTimeoutError("the backend did not finish in time"))

    def _fail(self, error: Exception) -> None:
        self._error = self._error or error
        self._wake()
