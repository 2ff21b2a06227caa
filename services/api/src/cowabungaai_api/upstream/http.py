# SPDX-License-Identifier: Apache-2.0
"""A replica that speaks OpenAI's API over HTTP, such as vLLM's or llama.cpp's own server.

Requests are passed on with the model's name at the server, answers with the client's; of these only the usage is read.
"""

from collections.abc import AsyncGenerator, Sequence

import orjson

from cowabungaai_api.errors import ApiError
from cowabungaai_api.upstream.base import Call, Operation, Reply
from cowabungaai_api.upstream.connection import Connection
from cowabungaai_api.upstream.events import EventReader, read_usage, write
from cowabungaai_api.upstream.forms import write_form
from cowabungaai_api.upstream.http_client import HttpClient, Origin
from cowabungaai_api.upstream.refusals import refusal
from cowabungaai_sdk.errors import BackendError, BackendFailedError, InvalidRequestError
from cowabungaai_sdk.v1.models_pb2 import Model

JSON_FORMATS = ("json", "verbose_json")
END_WAIT_S = 0.05
"""How long the end of a body is waited for where the stream itself is complete, in seconds."""


class HttpUpstream:
    """Calls one replica; implements Upstream.

    Args:
        url: base of its API, such as `http://vllm:8000/v1`.
        api_key: what the replica wants as bearer token.
        health_path: a path of the server that answers with a status below 500 when it serves.
        connect_timeout_s: how long a connection may take to be made, in seconds.

    Raises:
        ValueError: the API key cannot stand in a header.
    """

    def __init__(self, url: str, api_key: str | None, health_path: str, connect_timeout_s: float) -> None:
        self._origin = Origin.parse(url)
        self._client = HttpClient(self._origin, connect_timeout_s)
        self._health_path = health_path
        authorization = "" if api_key is None else f"authorization: Bearer {_checked_key(api_key)}\r\n"
        self._headers = f"host: {self._origin.authority}\r\naccept-encoding: identity\r\n{authorization}".encode()
        self._posts: dict[str, bytes] = {}

    async def unary(self, operation: Operation, call: Call, model: str) -> Reply:
        """See Upstream."""
        connection, body = await self._client.exchange(call.timeout_s, *self._post(operation, call, model))
        if connection.status >= 300:
            raise self._refusal(connection, body)
        if _expects_json(call):
            body = self._answer(connection, body, call)
        return Reply(body, connection.content_type)

    async def stream(self, operation: Operation, call: Call, model: str) -> AsyncGenerator[bytes, None]:
        """See Upstream."""
        connection = await self._client.begin(call.timeout_s, *self._post(operation, call, model))
        try:
            if connection.status >= 300:
                raise self._refusal(connection, await connection.read_all())
            if connection.media_type != b"text/event-stream":
                raise BackendFailedError(f"{self._origin.authority} answered {connection.status}, but not with events")
            events = EventReader(call, operation.done_marker, self._origin.authority)
            while not events.done:
                piece = await connection.read()
                if ready := events.feed(piece) if piece else events.finish():
                    yield ready
                if events.failed:
                    raise events.failed
                if not piece and not events.done:
                    raise BackendFailedError(f"{self._origin.authority} ended its stream without its last event")
            # What follows is the end of the body, which makes the connection fit for another request.
            await connection.drain(END_WAIT_S)
        finally:
            self._client.release(connection)

    async def healthy(self, timeout_s: float) -> bool:
        """See Upstream."""
        try:
            connection, _ = await self._client.exchange(timeout_s, *self._get(self._health_path))
        except BackendError:
            return False
        # Servers without such a path still answer; those that load, or are broken, say so with 503.
        return connection.status < 500

    async def models(self, timeout_s: float) -> Sequence[Model]:
        """See Upstream."""
        connection, body = await self._client.exchange(timeout_s, *self._get(f"{self._origin.path}/models"))
        if connection.status >= 300:
            raise self._refusal(connection, body)
        try:
            return [
                Model(
                    id=entry["id"],
                    created=int(entry.get("created") or 0),
                    owned_by=entry.get("owned_by") or "",
                    context_length=entry.get("max_model_len"),
                )
                for entry in orjson.loads(body)["data"]
            ]
        except (ValueError, KeyError, TypeError) as error:
            raise BackendFailedError(f"{self._origin.authority} does not list its models as OpenAI does") from error

    async def close(self) -> None:
        """See Upstream."""
        await self._client.close()

    def _get(self, path: str) -> tuple[bytes, ...]:
        return (f"GET {path} HTTP/1.1\r\n".encode(), self._headers, b"\r\n")

    def _post(self, operation: Operation, call: Call, model: str) -> tuple[bytes, ...]:
        if (start := self._posts.get(operation.path)) is None:
            start = f"POST {self._origin.path}{operation.path} HTTP/1.1\r\n".encode() + self._headers
            self._posts[operation.path] = start
        if call.upload is None:
            body, kind = _body(call, model), b"application/json"
        else:
            fields = call.request.model_dump(exclude_none=True)
            body, kind = write_form({**fields, "model": model}, call.upload)
        extra = "".join(f"{name}: {value}\r\n" for name, value in call.metadata).encode()
        head = b"content-type: %b\r\ncontent-length: %d\r\n%b\r\n" % (kind, len(body), extra)
        return (start, head, body)

    def _refusal(self, connection: Connection, body: bytes) -> BackendError | ApiError:
        try:
            found = orjson.loads(body)
        except ValueError:
            found = None
        return refusal(connection.status, found, self._origin.authority, connection.retry_after)

    def _answer(self, connection: Connection, body: bytes, call: Call) -> bytes:
        """The body of an answer in JSON, with the client's name of the model."""
        if not connection.is_json:
            raise BackendFailedError(f"{self._origin.authority} answered {connection.status}, but not with JSON")
        try:
            found = orjson.loads(body)
        except ValueError as error:
            raise BackendFailedError(f"{self._origin.authority} answered with what is not JSON") from error
        if not isinstance(found, dict):
            raise BackendFailedError(f"{self._origin.authority} answered with what is not a JSON object")
        read_usage(found.get("usage"), call.use)
        if "model" not in found or found["model"] == call.request.model:
            return body
        found["model"] = call.request.model
        return write(found)


def _body(call: Call, model: str) -> bytes:
    """The client's body as it was understood: of keys that stand in it twice, a server may read another one."""
    body = {**call.value, "model": model}
    if getattr(call.request, "stream", None) and not call.request.include_usage:
        # The gateway counts tokens also where the client doesn't ask.
        body["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError as error:
        raise InvalidRequestError("the body is nested too deeply") from error


def _expects_json(call: Call) -> bool:
    return call.upload is None or call.request.response_format in JSON_FORMATS


def _checked_key(key: str) -> str:
    """What may stand in a header."""
    key = key.strip()
    if not key or not all("!" <= letter <= "~" for letter in key):
        raise ValueError("the API key must be printable ASCII without blanks, and not empty")
    return key
