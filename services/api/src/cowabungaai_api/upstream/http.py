"""A replica that speaks OpenAI's API over HTTP, such as vLLM's or llama.cpp's own server.

Bodies are passed on as they are, but for the model's name; of the answers only the usage is looked at.
"""

import secrets
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import orjson

from cowabungaai_api.errors import ApiError
from cowabungaai_api.upstream.base import Call, Operation, Reply, TokenUse, Upload
from cowabungaai_api.upstream.http_client import Connection, HttpClient, Origin
from cowabungaai_sdk.errors import (
    BackendError,
    BackendFailedError,
    BackendOverloadedError,
    BackendUnavailableError,
    InvalidRequestError,
    UnsupportedError,
)
from cowabungaai_sdk.v1.models_pb2 import Model

DATA = b"data: "
DONE = b"[DONE]"
END = b"\n\n"
EVENT_BYTES = 8 * 1024 * 1024
"""The longest event that is waited for, in bytes."""


class HttpUpstream:
    """Calls one replica; implements Upstream.

    Args:
        url: base of its API, such as `http://vllm:8000/v1`.
        api_key: what the replica wants as bearer token.
        health_path: a path of the server that answers with a status below 500 when it serves.
        connect_timeout_s: how long a connection may take to be made, in seconds.
    """

    def __init__(self, url: str, api_key: str | None, health_path: str, connect_timeout_s: float) -> None:
        self._origin = Origin.parse(url)
        self._client = HttpClient(self._origin, connect_timeout_s)
        self._health_path = health_path
        authorization = f"authorization: Bearer {api_key}\r\n" if api_key else ""
        self._headers = f"host: {self._origin.authority}\r\naccept-encoding: identity\r\n{authorization}".encode()
        self._posts: dict[str, bytes] = {}

    async def unary(self, operation: Operation, call: Call, model: str) -> Reply:
        """See Upstream."""
        connection, body = await self._client.exchange(call.timeout_s, *self._post(operation, call, model))
        if connection.status >= 300:
            raise self._refusal(connection, body)
        if connection.content_type.startswith(b"application/json"):
            body = _answer(body, call, model)
        return Reply(body, connection.content_type)

    async def stream(self, operation: Operation, call: Call, model: str) -> AsyncGenerator[bytes, None]:
        """See Upstream."""
        connection = await self._client.begin(call.timeout_s, *self._post(operation, call, model))
        try:
            if connection.status >= 300:
                raise self._refusal(connection, await connection.read_all())
            events = EventReader(call, model)
            while piece := await connection.read():
                if ready := events.feed(piece):
                    yield ready
                if events.failed:
                    raise events.failed
                if events.done:
                    break
            if operation.done_marker and not events.done:
                raise BackendFailedError(f"{self._origin.authority} ended its stream without [DONE]")
            # What follows [DONE] is the end of the body, which makes the connection fit for another request.
            while not connection.complete:
                await connection.read()
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
            body, kind = _form(call.request.model_dump(exclude_none=True), model, call.upload)
        extra = "".join(f"{name}: {value}\r\n" for name, value in call.metadata).encode()
        head = b"content-type: %b\r\ncontent-length: %d\r\n%b\r\n" % (kind, len(body), extra)
        return (start, head, body)

    def _refusal(self, connection: Connection, body: bytes) -> Exception:
        """What an answer other than 2xx means."""
        try:
            found = orjson.loads(body)
            detail: dict[str, Any] = found.get("error", found)
            message = str(detail.get("message") or detail.get("detail") or "")
        except (ValueError, AttributeError):
            detail, message = {}, ""
        where = f"{self._origin.authority} answered {connection.status}"
        match connection.status:
            case 400 | 422:
                error = InvalidRequestError(message or "the backend refuses the request", detail.get("param"))
                code = detail.get("code")
                error.code_name = code if isinstance(code, str) else None
                return error
            case 413:
                return ApiError(413, message or "The backend refuses the request as too large.", "body_too_large")
            case 404 | 405 | 501 if detail.get("code") != "model_not_found":
                return UnsupportedError(where)
            case 429:
                return BackendOverloadedError(where, connection.retry_after)
            case 502 | 503 | 504:
                return BackendUnavailableError(where)
            case _:
                # A wrong key, or a model that is not there, are mistakes of the gateway's configuration.
                return BackendFailedError(f"{where}: {message[:200]}")


class EventReader:
    """Passes server-sent events on, with the client's name of the model, and takes the usage out of them.

    Args:
        call: gets the usage; its request says whether the client wants it too.
        model: the model's name at the replica.
    """

    def __init__(self, call: Call, model: str) -> None:
        self._call = call
        self._rest = b""
        self._wants_usage = call.request.include_usage if hasattr(call.request, "include_usage") else True
        same = model == call.request.model
        self._names = None if same else (_named(model), _named(call.request.model))
        self.done = False
        self.failed: BackendError | None = None
        """An error that came as an event, after those that feed returned."""

    def feed(self, piece: bytes) -> bytes:
        """Takes what came, and returns the events that are complete.

        Args:
            piece: the next bytes of the body.

        Raises:
            BackendFailedError: an event is too long.
        """
        data = self._rest + piece if self._rest else piece
        if b"\r\n" in data:
            data = data.replace(b"\r\n", b"\n")
        end = data.rfind(END)
        if end < 0:
            self._keep(data)
            return b""
        self._keep(data[end + 2 :])
        data = data[: end + 2]
        if self._names is not None:
            for old, new in zip(self._names[0], self._names[1], strict=True):
                data = data.replace(old, new)
        # Most reads hold nothing but deltas: these go on as they are.
        if b'"usage"' in data or DONE in data or b'"error"' in data:
            out = b""
            for event in data.split(END):
                if event and not self.failed:
                    out += self._one(event)
            return out
        return data

    def _keep(self, rest: bytes) -> None:
        if len(rest) > EVENT_BYTES:
            raise BackendFailedError(f"an event is longer than {EVENT_BYTES} bytes")
        self._rest = rest

    def _one(self, event: bytes) -> bytes:
        payload = event.removeprefix(b"data:").lstrip()
        if payload == DONE:
            self.done = True
            return b""
        if b'"usage"' not in payload and b'"error"' not in payload:
            return event + END
        try:
            found = orjson.loads(payload)
        except ValueError:
            found = {"error": "not JSON"}
        if "error" in found and "choices" not in found:
            self.failed = BackendFailedError("the stream ended with an error")
            return b""
        if usage := found.get("usage"):
            read_usage(usage, self._call.use)
            if not self._wants_usage:
                del found["usage"]
                return DATA + orjson.dumps(found) + END if found.get("choices") else b""
        elif not self._wants_usage and "usage" in found:
            del found["usage"]
            return DATA + orjson.dumps(found) + END
        return event + END


def _named(model: str) -> tuple[bytes, bytes]:
    """How a model's name stands in JSON, written tightly or with a blank."""
    name = orjson.dumps(model)
    return (b'"model":' + name, b'"model": ' + name)


def read_usage(usage: dict[str, Any], use: TokenUse) -> None:
    """Copies the counts of an answer.

    Args:
        usage: as OpenAI writes it.
        use: gets the counts.
    """
    use.prompt = usage.get("prompt_tokens") or usage.get("input_tokens") or 0
    use.completion = usage.get("completion_tokens") or usage.get("output_tokens") or 0


def _answer(body: bytes, call: Call, model: str) -> bytes:
    try:
        found = orjson.loads(body)
    except ValueError as error:
        raise BackendFailedError("the backend's answer is not JSON") from error
    if not isinstance(found, dict):
        raise BackendFailedError("the backend's answer is not a JSON object")
    if usage := found.get("usage"):
        read_usage(usage, call.use)
    if found.get("model") in (None, call.request.model) or model == call.request.model:
        return body
    found["model"] = call.request.model
    return orjson.dumps(found)


def _body(call: Call, model: str) -> bytes:
    """The client's body, changed only where it must be."""
    streamed = getattr(call.request, "stream", None) and not call.request.include_usage
    if model == call.request.model and not streamed:
        return call.body
    body = {**call.value, "model": model}
    if streamed:
        # The gateway counts tokens also where the client doesn't ask.
        body["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}
    return orjson.dumps(body)


def _form(fields: dict[str, Any], model: str, upload: Upload) -> tuple[bytes, bytes]:
    """Writes a form; returns it and its content type."""
    boundary = secrets.token_hex(16)
    parts = []
    for name, value in {**fields, "model": model}.items():
        values = value if isinstance(value, list) else [value]
        label = f"{name}[]" if isinstance(value, list) else name
        parts += [
            f'--{boundary}\r\ncontent-disposition: form-data; name="{label}"\r\n\r\n{_plain(item)}\r\n'.encode()
            for item in values
        ]
    filename = upload.filename.translate({ord(bad): "_" for bad in '"\r\n\\'})
    head = f'--{boundary}\r\ncontent-disposition: form-data; name="file"; filename="{filename}"\r\n'
    head += "content-type: application/octet-stream\r\n\r\n"
    return b"".join([*parts, head.encode(), upload.data, f"\r\n--{boundary}--\r\n".encode()]), (
        f"multipart/form-data; boundary={boundary}".encode()
    )


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
