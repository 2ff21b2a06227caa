# SPDX-License-Identifier: Apache-2.0
"""One request and its answer, as ASGI has them."""

import asyncio
import re
import secrets
import time

from starlette.types import Message, Receive, Scope, Send

from cowabungaai_api.errors import ApiError

WATCH_AFTER_S = 0.02
"""When it is first looked whether the client is still there, in seconds: most answers are sent before."""
BODY_TIMEOUT_S = 60
"""How long a body may take to arrive, in seconds, so that nobody holds connections by sending a byte now and then."""
SEND_TIMEOUT_S = 30
"""How long a client may leave what it is sent unread, in seconds."""
Headers = list[tuple[bytes, bytes]]
_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


class Exchange:
    """One request and its answer.

    Args:
        scope: ASGI's, of type http.
        receive: ASGI's.
        send: ASGI's.
        closing: whether the connection is closed after the answer, since the gateway stops.
    """

    __slots__ = (
        "_closing",
        "_guard",
        "_receive",
        "_send",
        "_sending_since",
        "_timer",
        "_watcher",
        "ended",
        "extra",
        "gone",
        "headers",
        "model",
        "path",
        "request_id",
        "scope",
        "started",
        "status",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send, *, closing: bool) -> None:
        self.scope = scope
        self.path: str = scope["path"]
        self._receive = receive
        self._send = send
        self._closing = closing
        self._timer: asyncio.TimerHandle | None = None
        self._watcher: asyncio.Task[None] | None = None
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        given = self.headers.get(b"x-request-id", b"")
        self.request_id = given if _ID.fullmatch(given) else f"req_{secrets.token_hex(12)}".encode()
        self.started = time.perf_counter()
        self._guard: asyncio.TimerHandle | None = None
        self._sending_since = 0.0
        self.status = 0
        self.ended = False
        self.gone = False
        self.model = ""
        self.extra: Headers = []
        """More headers for the answer, such as the caller's limits."""

    async def body(self, limit: int) -> bytes:
        """Reads the body.

        Args:
            limit: its largest size in bytes.

        Raises:
            ApiError: 413, it is larger; 408, it does not come.
            ClientGoneError: the client left before it was complete.
        """
        announced = self.headers.get(b"content-length", b"")
        if announced.isdigit() and int(announced) > limit:
            raise too_large(limit)
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                return await self._collect(limit)
        except TimeoutError as error:
            message = f"The body was not complete within {BODY_TIMEOUT_S} seconds."
            raise ApiError(408, message, "request_timeout") from error

    async def _collect(self, limit: int) -> bytes:
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            data: bytes = message.get("body", b"")
            if len(data) > limit:
                raise too_large(limit)
            return data
        pieces = bytearray()
        while True:
            if message["type"] == "http.disconnect":
                self.gone = True
                raise ClientGoneError
            pieces += message.get("body", b"")
            if len(pieces) > limit:
                raise too_large(limit)
            if not message.get("more_body"):
                return bytes(pieces)
            message = await self._receive()

    def watch_client(self) -> None:
        """Cancels the current task when the client leaves, from now until unwatch."""
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in one
        self._timer = loop.call_later(WATCH_AFTER_S, self._start_watcher, task)

    def _start_watcher(self, task: asyncio.Task[object]) -> None:
        self._watcher = asyncio.get_running_loop().create_task(self._watch(task))

    async def _watch(self, task: asyncio.Task[object]) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        task.cancel()

    def _check_sending(self, task: asyncio.Task[object]) -> None:
        """Cancels the task where the client has not read for too long: it would keep a replica's place for ever."""
        if self._sending_since and time.perf_counter() - self._sending_since >= SEND_TIMEOUT_S:
            self.gone = True
            task.cancel()
            return
        self._guard = asyncio.get_running_loop().call_later(SEND_TIMEOUT_S / 2, self._check_sending, task)

    def unwatch(self) -> None:
        """Ends what watch_client and start_events began."""
        if self._guard is not None:
            self._guard.cancel()
        if self._timer is not None:
            self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()

    async def respond(self, status: int, body: bytes, content_type: bytes, headers: Headers | None = None) -> None:
        """Sends a whole answer.

        Args:
            status: the HTTP status.
            body: the body.
            content_type: its media type.
            headers: more headers.
        """
        length = (b"content-length", b"%d" % len(body))
        await self._start(status, [(b"content-type", content_type), length, *(headers or ())])
        self.ended = True
        await self._send({"type": "http.response.body", "body": body})

    async def start_events(self) -> None:
        """Begins an answer of server-sent events."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in one
        self._guard = asyncio.get_running_loop().call_later(SEND_TIMEOUT_S / 2, self._check_sending, task)
        # Proxies in front must neither keep events back nor cache them.
        await self._start(
            200,
            [
                (b"content-type", b"text/event-stream; charset=utf-8"),
                (b"cache-control", b"no-cache"),
                (b"x-accel-buffering", b"no"),
            ],
        )

    async def send_events(self, events: bytes, now: float) -> None:
        """Sends some events.

        Args:
            events: as they go over the wire.
            now: time.perf_counter's.
        """
        self._sending_since = now
        await self._send({"type": "http.response.body", "body": events, "more_body": True})
        self._sending_since = 0.0

    async def end_events(self, last: bytes = b"") -> None:
        """Ends an answer of events.

        Args:
            last: what is sent before.
        """
        self.ended = True
        await self._send({"type": "http.response.body", "body": last})

    async def fail(self, error: ApiError) -> None:
        """Answers with an error, as the last event where events have begun.

        Args:
            error: the error; where the answer is complete already, it is too late for it.
        """
        if self.ended:
            return
        if self.status:
            await self.end_events(b"data: " + error.json() + b"\n\n")
        else:
            await self.respond(error.status_code, error.json(), b"application/json", error.raw_headers())

    async def _start(self, status: int, headers: Headers) -> None:
        self.status = status
        await self._send({"type": "http.response.start", "status": status, "headers": headers + self._common()})

    def _common(self) -> Headers:
        common = [
            (b"x-request-id", self.request_id),
            (b"openai-processing-ms", b"%d" % ((time.perf_counter() - self.started) * 1000)),
            (b"openai-version", b"2020-10-01"),
            *self.extra,
        ]
        if self._closing:
            common.append((b"connection", b"close"))
        return common

    async def forward(self, message: Message) -> None:
        """Sends what another ASGI app answers, with the headers that all answers have.

        Args:
            message: the app's.
        """
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message.get("headers", ()), *self._common()]}
        elif message["type"] == "http.response.body" and not message.get("more_body"):
            self.ended = True
        await self._send(message)


class ClientGoneError(Exception):
    """The client left before its request was complete."""


def too_large(limit: int) -> ApiError:
    """The error for a body that is too large.

    Args:
        limit: the largest size in bytes.
    """
    return ApiError(413, f"The body is larger than the limit of {limit} bytes.", "body_too_large")
