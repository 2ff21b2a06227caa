# SPDX-License-Identifier: Apache-2.0
"""Traces by OpenTelemetry, for backends and the gateway alike; nothing is imported, and nothing costs, while off.

They are on where the environment names a collector: OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT.
It must speak OTLP over gRPC.
They travel over gRPC; sampling, headers and resource attributes are as OpenTelemetry's other variables say. Attributes
follow its conventions for generative AI, and hold no content of a request.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer

    from cowabungaai_sdk.servicers.calls import Call

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
SCOPE = "cowabungaai"

log = logging.getLogger("cowabungaai.telemetry")

OPERATIONS = {"Chat": "chat", "Complete": "text_completion", "Embed": "embeddings", "Transcribe": "transcription"}
"""What each method is called in the attribute gen_ai.operation.name; streams as their siblings."""

_provider: "TracerProvider | None" = None


def configure(service_name: str) -> bool:
    """Turns traces on where the environment names a collector.

    Args:
        service_name: the resource's service.name, unless the environment says another.

    Returns:
        Whether they are on.
    """
    global _provider
    if _provider is not None:
        return True
    if not any(os.environ.get(name) for name in ENDPOINTS):
        return False
    protocol = next((value for name in PROTOCOLS if (value := os.environ.get(name))), "grpc")
    if protocol != "grpc":
        fields = {"protocol": protocol, "expected": "grpc"}
        log.warning("traces stay off: the collector's protocol is not supported", extra={"fields": fields})
        return False
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    # What is passed to a resource wins over the environment, so nothing is where that names the service.
    is_named = os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    _provider = TracerProvider(resource=Resource.create({} if is_named else {"service.name": service_name}))
    _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return True


def shutdown() -> None:
    """Sends what is left to the collector, and turns traces off."""
    global _provider
    if _provider is not None:
        _provider.shutdown()
        _provider = None


def enabled() -> bool:
    """Whether traces are on."""
    return _provider is not None


def tracer() -> "Tracer":
    """What spans are made with.

    Raises:
        RuntimeError: traces are off; ask enabled() first.
    """
    if _provider is None:
        raise RuntimeError("traces are off; call configure first, and ask enabled()")
    return _provider.get_tracer(SCOPE)


def inject(metadata: Sequence[tuple[str, str]] = ()) -> list[tuple[str, str]]:
    """Adds the current span to a call's metadata, as W3C's traceparent and tracestate; adds nothing while off.

    Args:
        metadata: what goes along anyway.
    """
    if _provider is None:
        return list(metadata)
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return [*metadata, *carrier.items()]


@contextmanager
def server_span(call: "Call", metadata: Any) -> Iterator[None]:
    """Traces a backend's call. Only while traces are on.

    Args:
        call: says at its end what is known of it.
        metadata: the call's, as gRPC gives it; its traceparent is the span's parent.
    """
    from opentelemetry.trace import SpanKind, Status, StatusCode
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier = {key: value for key, value in metadata or () if isinstance(value, str)}
    parent = TraceContextTextMapPropagator().extract(carrier)
    with tracer().start_as_current_span(
        call.method, parent, SpanKind.SERVER, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield
        finally:
            span.set_attributes(attributes(call))
            if call.status not in ("OK", "CANCELLED"):
                span.set_status(Status(StatusCode.ERROR, call.status))


def attributes(call: "Call") -> dict[str, str | int | float | Sequence[str]]:
    """What a span says of a backend's call.

    Args:
        call: the call at its end.
    """
    known = {
        "rpc.system": "grpc",
        "rpc.method": call.method,
        "rpc.response.status_code": call.status,
        "gen_ai.operation.name": OPERATIONS.get(call.method.removesuffix("Stream")),
        "gen_ai.request.model": call.model or None,
        "gen_ai.response.finish_reasons": list(call.finish_reasons) or None,
        "gen_ai.usage.input_tokens": call.prompt_tokens,
        "gen_ai.usage.output_tokens": call.completion_tokens,
        "gen_ai.server.time_to_first_token": call.first_piece_s,
        "cowabungaai.queue_wait": call.queued_s,
    }
    return {name: value for name, value in known.items() if value is not None}
