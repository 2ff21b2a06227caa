# SPDX-License-Identifier: Apache-2.0
"""The outermost ASGI app: who calls, what they ask for, and the way of a request to a model and back.

The endpoints that models answer are served here, without a framework between: its routing, dependency injection and
response models cost more than everything else together (docs/benchmarks.md). Everything else is FastAPI's.
"""

import asyncio
import logging
import time
from contextlib import aclosing

import orjson
from fastapi import FastAPI
from pydantic import ValidationError
from starlette.types import Receive, Scope, Send

from cowabungaai_api.access_log import AccessLog
from cowabungaai_api.affinity import affinity_key
from cowabungaai_api.auth.errors import AuthError
from cowabungaai_api.auth.principal import Principal
from cowabungaai_api.endpoints import Endpoint, by_path
from cowabungaai_api.errors import ApiError, from_auth, from_backend, from_pydantic
from cowabungaai_api.exchange import ClientGoneError, Exchange
from cowabungaai_api.forms import read_form
from cowabungaai_api.operations.common import DONE
from cowabungaai_api.routing.router import Route
from cowabungaai_api.shape import check_shape
from cowabungaai_api.state import State
from cowabungaai_api.tracing import request_span
from cowabungaai_api.upstream.base import Call, Upload
from cowabungaai_sdk.errors import BackendError

log = logging.getLogger("cowabungaai.api")

OPEN_PATHS = frozenset({"/healthz", "/livez", "/readyz"})
CLIENT_GONE = 499
"""What the log says where nobody waited for the answer; nginx's number for it."""
DATA = b"data: "
BYTES_PER_TOKEN = 4
"""A guess at a prompt's tokens before the model has counted them."""


class Gateway:
    """Answers every request.

    Args:
        app: answers what models do not.
        state: what the gateway runs with; the app's lifespan fills it.
    """

    def __init__(self, app: FastAPI, state: State) -> None:
        self._app = app
        self._state = state
        self._endpoints = by_path()
        self._log = AccessLog(enabled=state.settings.log_level in ("debug", "info"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; see the ASGI specification."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            if scope["type"] == "lifespan":
                self._log.flush()
            return
        exchange = Exchange(scope, receive, send, closing=self._state.draining)
        metrics = self._state.metrics
        endpoint = self._endpoints.get(exchange.path)
        metrics.in_flight.inc()
        try:
            await self._answer(exchange, endpoint, receive)
        except ApiError as error:
            await exchange.fail(error)
        except AuthError as error:
            if error.status >= 500:
                # What the log may know is more than what the caller is told.
                log.error("refused", extra={"fields": {"status": error.status, "why": str(error)}})
            await exchange.fail(from_auth(error))
        except ClientGoneError:
            pass
        except asyncio.CancelledError:
            if not exchange.gone:
                raise
        except Exception:
            log.exception("the gateway failed")
            await exchange.fail(ApiError(500, "The gateway failed while it handled the request.", "internal_error"))
        finally:
            metrics.in_flight.dec()
            self._note(exchange, endpoint)

    def _note(self, exchange: Exchange, endpoint: Endpoint | None) -> None:
        """Counts and logs a request that ended."""
        status = CLIENT_GONE if exchange.gone else exchange.status
        seconds = time.perf_counter() - exchange.started
        if endpoint is not None:
            self._state.metrics.requests(endpoint.name, exchange.model, status).inc()
            if exchange.model:
                self._state.metrics.seconds(endpoint.name, exchange.model).observe(seconds)
        if self._log.enabled and exchange.path not in OPEN_PATHS:
            fields = {"model": exchange.model} if exchange.model else {}
            self._log.write(
                id=exchange.request_id.decode(),
                method=exchange.scope["method"],
                path=exchange.path,
                status=status,
                ms=round(seconds * 1000, 2),
                **fields,
            )

    async def _answer(self, exchange: Exchange, endpoint: Endpoint | None, receive: Receive) -> None:
        scope, state = exchange.scope, self._state
        if exchange.path not in OPEN_PATHS and not (exchange.path == "/metrics" and state.settings.public_metrics):
            header = exchange.headers.get(b"authorization")
            authenticator = state.auth.authenticator
            principal = (authenticator.cached(header) if header else None) or await authenticator.authenticate(header)
            scope.setdefault("state", {})["principal"] = principal
            if endpoint is not None:
                if scope["method"] != "POST":
                    message = f"Not allowed to {scope['method']} {exchange.path}; it is POST."
                    exchange.extra.append((b"allow", b"POST"))
                    raise ApiError(405, message, "method_not_allowed")
                await self._infer(exchange, endpoint, principal)
                return
        await self._app(scope, receive, exchange.forward)

    async def _infer(self, exchange: Exchange, endpoint: Endpoint, principal: Principal) -> None:
        """Answers a request that a model answers."""
        state = self._state
        principal.require("inference")
        call = await self._read(exchange, endpoint)
        route = state.router.route(call.request.model)
        exchange.model = route.name
        if not principal.may_use(route.name):
            message = f"Your key does not have access to the model `{call.request.model}`."
            raise ApiError(403, message, "insufficient_permissions", "model")
        state.router.check(route, call)
        call.may_use = principal.may_use
        estimate = len(call.body) // BYTES_PER_TOKEN
        grant = state.auth.limiter.acquire(principal, estimate)
        try:
            exchange.extra += grant.headers()
            key = affinity_key(call.request, whole=route.pool.config.affinity)
            exchange.watch_client()
            with request_span(exchange, endpoint, route, call):
                if getattr(call.request, "stream", None):
                    await self._stream(exchange, endpoint, route, call, key)
                else:
                    reply = await state.router.unary(route, endpoint.operation, call, key)
                    exchange.unwatch()
                    await exchange.respond(200, reply.body, reply.content_type)
        except BackendError as error:
            raise _logged(error, route, call) from error
        finally:
            exchange.unwatch()
            use = call.use
            used = use.prompt + use.completion
            # Who leaves before the usage comes has used tokens all the same.
            grant.settle(used or (estimate + call.pieces if exchange.gone or call.pieces else 0))
            if use.prompt or use.completion:
                state.metrics.tokens(route.name, "prompt").inc(use.prompt)
                state.metrics.tokens(route.name, "completion").inc(use.completion)

    async def _stream(
        self, exchange: Exchange, endpoint: Endpoint, route: Route, call: Call, key: bytes | None
    ) -> None:
        metrics = self._state.metrics
        gap = metrics.gap(endpoint.name, route.name)
        last = 0.0
        async with aclosing(self._state.router.stream(route, endpoint.operation, call, key)) as events:
            async for event in events:
                now = time.perf_counter()
                if last:
                    gap.observe(now - last)
                else:
                    # Until the first event an error can still be a status.
                    metrics.first(endpoint.name, route.name).observe(now - exchange.started)
                    await exchange.start_events()
                last = now
                call.pieces += event.count(DATA)
                await exchange.send_events(event, now)
        if not last:
            await exchange.start_events()
        await exchange.end_events(DONE if endpoint.operation.done_marker else b"")

    async def _read(self, exchange: Exchange, endpoint: Endpoint) -> Call:
        """Reads and checks a request.

        Raises:
            ApiError: 400, 413 or 415, it is wrong, too large, or of another type.
        """
        content_type = exchange.headers.get(b"content-type", b"")
        wanted = b"multipart/form-data" if endpoint.form else b"application/json"
        if content_type.partition(b";")[0].strip().lower() != wanted:
            message = f"Unsupported Content-Type; expected {wanted.decode()}."
            raise ApiError(415, message, "unsupported_media_type")
        settings = self._state.settings
        body = await exchange.body(settings.max_upload_bytes if endpoint.form else settings.max_body_bytes)
        model = endpoint.operation.request
        upload: Upload | None = None
        if endpoint.form:
            value, upload = await read_form(body, content_type)
            body = b""
        else:
            try:
                value = orjson.loads(body)
            except orjson.JSONDecodeError as error:
                message = "We could not parse the JSON body of your request."
                raise ApiError(400, message, "invalid_json") from error
            check_shape(body, value)
        try:
            return Call(body, value, model.model_validate(value), upload)
        except ValidationError as error:
            raise from_pydantic(error, value, model.UNSUPPORTED) from error


def _logged(error: BackendError, route: Route, call: Call) -> ApiError:
    answer = from_backend(error, call.request.model)
    if answer.status_code >= 500:
        fields = {"model": route.name, "status": answer.status_code, "why": str(error)}
        log.warning("backend failed", extra={"fields": fields})
    return answer
