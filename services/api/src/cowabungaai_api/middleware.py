"""What surrounds every request: the bound on its body, and its line in the log."""

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cowabungaai_api.errors import ApiError

log = logging.getLogger("cowabungaai.api")


class BodyLimit:
    """Answers 413 to bodies that are too large, before they are read where their length is announced.

    Args:
        app: what handles the request.
        max_bytes: the largest body, in bytes.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one connection event; see the ASGI specification."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"")
        if announced.isdigit() and int(announced) > self._max_bytes:
            await self._refusal().response()(scope, receive, send)
            return
        received = 0

        async def bounded_receive() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise self._refusal()
            return message

        await self._app(scope, bounded_receive, send)

    def _refusal(self) -> ApiError:
        return ApiError(413, f"The body is larger than the limit of {self._max_bytes} bytes.", "body_too_large")


class AccessLog:
    """Logs method, path, status and duration of every request but health checks; never content, query or headers.

    Args:
        app: what handles the request.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one connection event; see the ASGI specification."""
        if scope["type"] != "http" or scope["path"] == "/healthz":
            await self._app(scope, receive, send)
            return
        # No status was sent yet: the client left, or the server's own handler will answer 500.
        started, status = time.perf_counter(), 0

        async def watched_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        finally:
            milliseconds = round((time.perf_counter() - started) * 1000, 1)
            fields = {"method": scope["method"], "path": scope["path"], "status": status, "ms": milliseconds}
            log.info("request", extra={"fields": fields})
