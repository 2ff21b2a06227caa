# SPDX-License-Identifier: Apache-2.0
"""Traces, as a collector receives them."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from cowabungaai_sdk import telemetry
from cowabungaai_sdk.errors import BackendFailedError
from sample_backends import Broken, Words

pytestmark = pytest.mark.anyio

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


class Collector(TraceServiceServicer):
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.requests = []

    def Export(self, request, context):
        self.requests.append(request)
        return ExportTraceServiceResponse()

    @property
    def resources(self):
        return [found.resource for request in self.requests for found in request.resource_spans]

    @property
    def spans(self):
        groups = [scope for request in self.requests for found in request.resource_spans for scope in found.scope_spans]
        return [span for group in groups for span in group.spans]


@pytest.fixture
def collector(monkeypatch):
    """A collector that the environment names, and traces turned on."""
    found = Collector()
    server = grpc.server(ThreadPoolExecutor(1))
    add_TraceServiceServicer_to_server(found, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    # Whoever runs the tests may collect traces of their own.
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    assert telemetry.configure("tests")
    yield found
    telemetry.shutdown()
    server.stop(None).wait()


async def sent(collector: Collector) -> Span:
    """The one span, once the collector has it."""
    await asyncio.to_thread(telemetry.shutdown)
    (span,) = collector.spans
    return span


def attributes(span: Span) -> dict[str, object]:
    return {item.key: getattr(item.value, item.value.WhichOneof("value")) for item in span.attributes}


async def test_call_is_a_span_below_its_callers(serve, request_, collector):
    client = (await serve(Words())).client
    await client.chat(request_, metadata=[("traceparent", f"00-{TRACE}-{PARENT}-01")])
    span = await sent(collector)
    assert (span.name, span.kind) == ("Chat", Span.SPAN_KIND_SERVER)
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)


async def test_span_has_the_models_facts_and_no_content(serve, request_, collector):
    client = (await serve(Words())).client
    async for _ in client.chat_stream(request_):
        pass
    span = await sent(collector)
    found = attributes(span)
    assert found["gen_ai.operation.name"] == "chat"
    assert found["gen_ai.request.model"] == "words"
    assert (found["gen_ai.usage.input_tokens"], found["gen_ai.usage.output_tokens"]) == (2, 3)
    assert [value.string_value for value in found["gen_ai.response.finish_reasons"].values] == ["stop"]
    assert found["rpc.response.status_code"] == "OK"
    assert "secret" not in str(span)


async def test_failed_call_is_a_failed_span_without_the_conversation(serve, request_, collector):
    client = (await serve(Broken())).client
    with pytest.raises(BackendFailedError):
        await client.chat(request_)
    span = await sent(collector)
    assert (span.status.code, span.status.message) == (Status.STATUS_CODE_ERROR, "INTERNAL")
    assert "secret" not in str(span)


async def test_spans_own_context_is_passed_on(collector):
    with telemetry.tracer().start_as_current_span("outer") as span:
        metadata = telemetry.inject([("a", "b")])
    context = span.get_span_context()
    assert metadata[0] == ("a", "b")
    assert metadata[1][0] == "traceparent"
    assert metadata[1][1].startswith(f"00-{context.trace_id:032x}-{context.span_id:016x}-")


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({}, "tests"),
        ({"OTEL_SERVICE_NAME": "mine"}, "mine"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=theirs"}, "theirs"),
    ],
)
async def test_service_is_named(monkeypatch, collector, environment, name):
    telemetry.shutdown()
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    telemetry.configure("tests")
    telemetry.tracer().start_span("one").end()
    await sent(collector)
    named = {item.key: item.value.string_value for item in collector.resources[0].attributes}
    assert named["service.name"] == name


async def test_configuring_twice_changes_nothing(collector):
    assert telemetry.configure("others")


def test_without_a_collector_traces_are_off(monkeypatch):
    for name in telemetry.ENDPOINTS:
        monkeypatch.delenv(name, raising=False)
    assert not telemetry.configure("tests")
    assert not telemetry.enabled()
    assert telemetry.inject([("a", "b")]) == [("a", "b")]
    with pytest.raises(RuntimeError, match="traces are off"):
        telemetry.tracer()


def test_collector_of_another_protocol_is_not_spoken_to(monkeypatch, caplog):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", raising=False)
    assert not telemetry.configure("tests")
    assert not telemetry.enabled()
    assert "traces stay off" in caplog.text
