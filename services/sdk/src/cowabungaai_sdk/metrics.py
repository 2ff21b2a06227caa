# SPDX-License-Identifier: Apache-2.0
"""Metrics of a backend for Prometheus, on a port of their own. Imported only where the port is asked for."""

from collections.abc import Sequence
from threading import Thread
from wsgiref.simple_server import WSGIServer

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    start_http_server,
)

from cowabungaai_sdk.admission import Admission
from cowabungaai_sdk.servicers.calls import Call
from cowabungaai_sdk.v1.models_pb2 import LOAD_STATE_READY, Model

PREFIX = "cowabungaai_backend"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Metrics:
    """What Prometheus reads of one backend."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._calls = self._counter("calls", "Calls answered, by gRPC status", "method", "status")
        self._duration = self._histogram("call_duration_seconds", "From the call's arrival to its end", "method")
        self._first = self._histogram(
            "time_to_first_piece_seconds", "From the call's arrival to the engine's first piece", "method"
        )
        self._queue_wait = self._histogram("queue_wait_seconds", "From the call's arrival to its slot", "method")
        self._tokens = self._counter("tokens", "Tokens read (prompt) and generated (completion)", "model", "kind")
        self._loaded = self._gauge("model_loaded", "1 once the model is ready", "model")
        self._server: WSGIServer | None = None
        self._thread: Thread | None = None

    def watch(self, admission: Admission) -> None:
        """Shows how full the engine is.

        Args:
            admission: its slots.
        """
        self._gauge("calls_in_flight", "Calls that hold a slot of the engine").set_function(lambda: admission.working)
        self._gauge("calls_queued", "Calls that wait for a slot").set_function(lambda: admission.waiting)

    def models(self, models: Sequence[Model]) -> None:
        """Shows which models are ready.

        Args:
            models: all of the backend's.
        """
        for model in models:
            self._loaded.labels(model.id).set(model.state == LOAD_STATE_READY)

    def observe(self, call: Call, seconds: float) -> None:
        """Counts a call that ended.

        Args:
            call: what is known of it.
            seconds: how long it took.
        """
        self._calls.labels(call.method, call.status).inc()
        self._duration.labels(call.method).observe(seconds)
        if call.first_piece_s is not None:
            self._first.labels(call.method).observe(call.first_piece_s)
        if call.queued_s is not None:
            self._queue_wait.labels(call.method).observe(call.queued_s)
        for kind, count in (("prompt", call.prompt_tokens), ("completion", call.completion_tokens)):
            if count is not None:
                self._tokens.labels(call.model, kind).inc(count)

    def serve(self, host: str, port: int) -> int:
        """Answers Prometheus at /metrics, from a thread of its own.

        Args:
            host: address to listen on.
            port: TCP port; 0 takes a free one.

        Returns:
            The port.

        Raises:
            OSError: the address cannot be had.
        """
        self._server, self._thread = start_http_server(port, host, self.registry)
        return int(self._server.server_port)

    def close(self) -> None:
        """Stops answering."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{PREFIX}_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"{PREFIX}_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(f"{PREFIX}_{name}", text, labels, registry=self.registry, buckets=SECONDS)
