# SPDX-License-Identifier: Apache-2.0
"""Traces through the gateway to the backend, as a collector receives them."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

from support import ADMIN_KEY, repeater_process

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


class Collector(TraceServiceServicer):
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.requests = []

    def Export(self, request, context):
        self.requests.append(request)
        return ExportTraceServiceResponse()

    def spans(self, count: int):
        """So many spans, by the name of their service."""
        deadline = time.monotonic() + 20
        while True:
            resources = [found for request in list(self.requests) for found in request.resource_spans]
            spans = {
                next(item.value.string_value for item in found.resource.attributes if item.key == "service.name"): span
                for found in resources
                for scope in found.scope_spans
                for span in scope.spans
            }
            if len(spans) >= count:
                return spans
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.fixture
def collector(monkeypatch) -> Iterator[Collector]:
    """A collector that the environment names."""
    found = Collector()
    server = grpc.server(ThreadPoolExecutor(1))
    add_TraceServiceServicer_to_server(found, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    # Whoever runs the tests may collect traces of their own.
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    yield found
    server.stop(None).wait()


@pytest.mark.parametrize("stream", [False, True])
def test_one_trace_from_the_client_to_the_backend(collector, launch, stream):
    with repeater_process() as (address, _):
        with launch("--model", f"repeater={address}").client() as client:
            answer = client.chat.completions.create(
                model="repeater",
                messages=[{"role": "user", "content": "tell nobody"}],
                stream=stream,
                extra_headers={"traceparent": f"00-{TRACE}-{PARENT}-01"},
            )
            list(answer)
        spans = collector.spans(2)
    gateway, backend = spans["cowabungaai-api"], spans[min(spans.keys() - {"cowabungaai-api"})]
    assert {gateway.trace_id.hex(), backend.trace_id.hex()} == {TRACE}
    assert (gateway.parent_span_id.hex(), backend.parent_span_id) == (PARENT, gateway.span_id)
    attributes = {item.key: item.value for item in gateway.attributes}
    assert attributes["gen_ai.usage.output_tokens"].int_value == 2
    assert attributes["http.response.status_code"].int_value == 200
    text = "".join(str(request) for request in collector.requests)
    assert "nobody" not in text
    assert ADMIN_KEY not in text
