# SPDX-License-Identifier: Apache-2.0
"""Serves a backend over gRPC: its services, true health, reflection, and a drain that loses no call."""

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from cowabungaai_sdk.admission import Admission
from cowabungaai_sdk.backend import (
    Backend,
    ChatBackend,
    CompletionBackend,
    EmbeddingBackend,
    TokenCounter,
    TranscriptionBackend,
)
from cowabungaai_sdk.catalog import Catalog, CatalogError
from cowabungaai_sdk.channels import MESSAGE_BYTES, server_options
from cowabungaai_sdk.reflection import LazyReflection
from cowabungaai_sdk.servicers.audio import AudioServicer
from cowabungaai_sdk.servicers.calls import Calls
from cowabungaai_sdk.servicers.chat import ChatServicer
from cowabungaai_sdk.servicers.completion import CompletionServicer
from cowabungaai_sdk.servicers.embedding import EmbeddingServicer
from cowabungaai_sdk.servicers.models import ModelServicer
from cowabungaai_sdk.servicers.tokens import TokenServicer
from cowabungaai_sdk.v1.audio_pb2_grpc import add_AudioServiceServicer_to_server
from cowabungaai_sdk.v1.chat_pb2_grpc import add_ChatServiceServicer_to_server
from cowabungaai_sdk.v1.completion_pb2_grpc import add_CompletionServiceServicer_to_server
from cowabungaai_sdk.v1.embedding_pb2_grpc import add_EmbeddingServiceServicer_to_server
from cowabungaai_sdk.v1.models_pb2_grpc import add_ModelServiceServicer_to_server
from cowabungaai_sdk.v1.tokens_pb2_grpc import add_TokenServiceServicer_to_server

if TYPE_CHECKING:
    from cowabungaai_sdk.metrics import Metrics

log = logging.getLogger("cowabungaai.server")

FLUSH_S = 1.0
"""How long answers that are complete may take to leave when the server stops, in seconds."""

NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVING = health_pb2.HealthCheckResponse.SERVING

# Protocol, servicer, gRPC's function that registers it, and the service's name.
_SERVICES: tuple[tuple[Any, Any, Any, str], ...] = (
    (ChatBackend, ChatServicer, add_ChatServiceServicer_to_server, "ChatService"),
    (CompletionBackend, CompletionServicer, add_CompletionServiceServicer_to_server, "CompletionService"),
    (EmbeddingBackend, EmbeddingServicer, add_EmbeddingServiceServicer_to_server, "EmbeddingService"),
    (TranscriptionBackend, AudioServicer, add_AudioServiceServicer_to_server, "AudioService"),
    (TokenCounter, TokenServicer, add_TokenServiceServicer_to_server, "TokenService"),
)


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """How a backend is served.

    Args:
        host: address to listen on; a name, IPv4, or IPv6 without brackets.
        port: TCP port; 0 takes a free one.
        drain_s: how long calls in flight and in the queue may go on after the stop began, in seconds.
        max_message_bytes: the largest message received or sent, in bytes.
        max_concurrency: how many calls the engine works on at once; 0 means any number, None what the backend says.
        max_queue: how many calls may wait for a slot.
        metrics_port: TCP port of the metrics for Prometheus, on the same host; 0 means none.
    """

    # In a container only its own network namespace is listened on; the cluster's policy decides who gets there.
    host: str = "0.0.0.0"  # noqa: S104
    port: int = 50051
    drain_s: float = 30.0
    max_message_bytes: int = MESSAGE_BYTES
    max_concurrency: int | None = None
    max_queue: int = 64
    metrics_port: int = 0

    @property
    def address(self) -> str:
        """The address as gRPC writes it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class ServerStartError(Exception):
    """The server could not start; the message says why and what to do."""


class BackendServer:
    """One backend on one port. Make it, start it and stop it in the same event loop.

    Args:
        backend: implements at least one capability's Protocol.
        config: how to serve it.

    Raises:
        ServerStartError: the backend can do nothing, or its models contradict what it can do.
    """

    def __init__(self, backend: Backend, config: ServerConfig) -> None:
        self._backend = backend
        self._config = config
        try:
            self._catalog = Catalog(backend)
        except CatalogError as error:
            raise ServerStartError(str(error)) from error
        limit = getattr(backend, "max_concurrency", None) if config.max_concurrency is None else config.max_concurrency
        admission = Admission(limit or None, config.max_queue)
        self._metrics = _metrics(admission) if config.metrics_port else None
        self._calls = Calls(admission, self._metrics)
        self._health = health.aio.HealthServicer()
        self._server = grpc.aio.server(options=server_options(config.max_message_bytes))
        self._services = self._register()
        self._stopped = False

    def _register(self) -> list[str]:
        names = ["cowabungaai.v1.ModelService"]
        add_ModelServiceServicer_to_server(ModelServicer(self._catalog, self._calls), self._server)
        for protocol, servicer, add, name in _SERVICES:
            if isinstance(self._backend, protocol):
                add(servicer(self._backend, self._catalog, self._calls), self._server)
                names.append(f"cowabungaai.v1.{name}")
        if len(names) == 1:
            name = type(self._backend).__name__
            raise ServerStartError(f"{name} can do nothing; it must implement a Protocol of cowabungaai_sdk.backend")
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._server.add_generic_rpc_handlers((LazyReflection([*names, health.SERVICE_NAME]),))
        return names

    async def start(self) -> int:
        """Listens, with health NOT_SERVING; load() makes it SERVING.

        Returns:
            The port.

        Raises:
            ServerStartError: an address is in use or not this machine's.
        """
        await self._set_health(NOT_SERVING)
        fields: dict[str, object] = {}
        if self._metrics is not None:
            fields["metrics_port"] = self._serve_metrics(self._metrics)
        try:
            port = self._server.add_insecure_port(self._config.address)
        except RuntimeError as error:
            message = f"cannot listen on {self._config.address}: in use, or not an address here; choose another --port"
            raise ServerStartError(message) from error
        await self._server.start()
        log.info("listening", extra={"fields": {"host": self._config.host, "port": port, **fields}})
        return port

    async def load(self) -> None:
        """Loads the backend, then takes calls.

        Raises:
            ServerStartError: the loaded models contradict what the backend can do.
            Exception: what the backend's load raised.
        """
        await self._backend.load()
        try:
            self._catalog.loaded()
        except CatalogError as error:
            raise ServerStartError(str(error)) from error
        self._calls.refusal = None
        if self._metrics is not None:
            self._metrics.models(self._catalog.models)
        await self._set_health(SERVING)
        log.info("serving", extra={"fields": {"models": [model.id for model in self._catalog.models]}})

    async def stop(self) -> None:
        """Refuses new calls, lets those in flight and in the queue finish for at most `drain_s` seconds, and closes the
        backend.

        More than one call of this is allowed, one after the other; the later ones do nothing.
        """
        if self._stopped:
            return
        self._stopped = True
        log.info("draining", extra={"fields": {"seconds": self._config.drain_s}})
        await self._health.enter_graceful_shutdown()
        self._calls.refusal = "the backend is stopping"
        # gRPC's own grace period would wait for health watches too, which clients keep open as long as they like.
        grace: float | None = FLUSH_S
        try:
            async with asyncio.timeout(self._config.drain_s):
                await self._calls.wait_idle()
        except TimeoutError:
            grace = None
        # Once only: grpc.aio crashes the process where a second stop overlaps the first.
        await self._server.stop(grace)
        await self._backend.close()
        if self._metrics is not None:
            self._metrics.close()
        log.info("stopped")

    def _serve_metrics(self, metrics: "Metrics") -> int:
        metrics.models(self._catalog.models)
        host, port = self._config.host, self._config.metrics_port
        try:
            return metrics.serve(host, port)
        except OSError as error:
            message = f"cannot listen on {host} port {port}: {error.strerror}; choose another --metrics-port"
            raise ServerStartError(message) from error

    async def _set_health(self, status: int) -> None:
        for service in ("", *self._services):
            await self._health.set(service, status)


def _metrics(admission: Admission) -> "Metrics":
    # Imported by those who ask for it: it is a third of the time that a start takes.
    from cowabungaai_sdk.metrics import Metrics

    metrics = Metrics()
    metrics.watch(admission)
    return metrics
