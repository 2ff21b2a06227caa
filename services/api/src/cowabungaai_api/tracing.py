# SPDX-License-Identifier: Apache-2.0
"""Traces: a span for each request that a model answers, and its context for the replica."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cowabungaai_sdk import telemetry
from cowabungaai_sdk.errors import BackendError

if TYPE_CHECKING:
    from cowabungaai_api.endpoints import Endpoint
    from cowabungaai_api.exchange import Exchange
    from cowabungaai_api.routing.router import Route
    from cowabungaai_api.upstream.base import Call


@contextmanager
def request_span(exchange: "Exchange", endpoint: "Endpoint", route: "Route", call: "Call") -> Iterator[None]:
    """Surrounds a request by a span where tracing is on; names after OpenTelemetry's conventions for generative AI.

    Args:
        exchange: the request; its traceparent header names the parent.
        endpoint: what is asked.
        route: where it goes.
        call: gets the span's context as metadata; its token counts go into the span.
    """
    if not telemetry.enabled():
        yield
        return
    from opentelemetry.propagate import extract
    from opentelemetry.trace import SpanKind, Status, StatusCode

    carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in exchange.headers.items()}
    attributes = {
        "gen_ai.operation.name": endpoint.name,
        "gen_ai.request.model": route.name,
        "http.request.method": "POST",
        "url.path": exchange.path,
    }
    # An exception's message may quote the conversation, so it is not recorded.
    with telemetry.tracer().start_as_current_span(
        f"{endpoint.name} {route.name}",
        extract(carrier),
        SpanKind.SERVER,
        attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        call.metadata = telemetry.inject()
        try:
            yield
        except BackendError as error:
            span.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise
        finally:
            span.set_attribute("gen_ai.usage.input_tokens", call.use.prompt)
            span.set_attribute("gen_ai.usage.output_tokens", call.use.completion)
            if exchange.status:
                span.set_attribute("http.response.status_code", exchange.status)
