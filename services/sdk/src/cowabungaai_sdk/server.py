"""Serves a backend over gRPC: its services, true health, reflection, and a drain that loses no call."""

import asyncio
import logging
from dataclasses import dataclass

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from cowabungaai_sdk.backend import Backend, ChatBackend
from cowabungaai_sdk.channels import MESSAGE_BYTES, message_options
from cowabungaai_sdk.servicers.calls import Calls
from cowabungaai_sdk.servicers.chat import ChatServicer
from cowabungaai_sdk.servicers.models import ModelServicer
from cowabungaai_sdk.v1 import chat_pb2, chat_pb2_grpc, models_pb2, models_pb2_grpc

log = logging.getLogger("cowabungaai.server")

FLUSH_S = 1.0
"""How long answers that are complete may take to leave when the server stops, in seconds."""

NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVING = health_pb2.HealthCheckResponse.SERVING


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """How a backend is served.

    Args:
        host: address to listen on; a name, IPv4, or IPv6 without brackets.
        port: TCP port; 0 takes a free one.
        drain_s: how long calls in flight may go on after the stop began, in seconds.
        max_message_bytes: the largest message received or sent, in bytes.
    """

    # In a container only its own network namespace is listened on; the cluster's policy decides who gets there.
    host: str = "0.0.0.0"  # noqa: S104
    port: int = 50051
    drain_s: float = 30.0
    max_message_bytes: int = MESSAGE_BYTES

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
    """

    def __init__(self, backend: Backend, config: ServerConfig) -> None:
        self._backend = backend
        self._config = config
        self._calls = Calls()
        self._health = health.aio.HealthServicer()
        # Without SO_REUSEPORT a port in use is an error, instead of two servers that share its callers.
        options = [*message_options(config.max_message_bytes), ("grpc.so_reuseport", 0)]
        self._server = grpc.aio.server(options=options)
        self._services = self._register()
        self._stopped = False

    def _register(self) -> list[str]:
        services = [models_pb2.DESCRIPTOR.services_by_name["ModelService"].full_name]
        models_pb2_grpc.add_ModelServiceServicer_to_server(ModelServicer(self._backend, self._calls), self._server)
        if not isinstance(self._backend, ChatBackend):
            name = type(self._backend).__name__
            raise ServerStartError(f"{name} can do nothing; it must implement a Protocol of cowabungaai_sdk.backend")
        services.append(chat_pb2.DESCRIPTOR.services_by_name["ChatService"].full_name)
        chat_pb2_grpc.add_ChatServiceServicer_to_server(ChatServicer(self._backend, self._calls), self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection([*services, health.SERVICE_NAME, reflection.SERVICE_NAME], self._server)
        return services

    async def start(self) -> int:
        """Listens, with health NOT_SERVING; load() makes it SERVING.

        Returns:
            The port.

        Raises:
            ServerStartError: the address is in use or not this machine's.
        """
        await self._set_health(NOT_SERVING)
        try:
            port = self._server.add_insecure_port(self._config.address)
        except RuntimeError as error:
            message = f"cannot listen on {self._config.address}: in use, or not an address here; choose another --port"
            raise ServerStartError(message) from error
        await self._server.start()
        log.info("listening", extra={"fields": {"host": self._config.host, "port": port}})
        return port

    async def load(self) -> None:
        """Loads the backend, then takes calls.

        Raises:
            Exception: what the backend's load raised.
        """
        await self._backend.load()
        self._calls.refusal = None
        await self._set_health(SERVING)
        log.info("serving", extra={"fields": {"models": [model.id for model in self._backend.models()]}})

    async def stop(self) -> None:
        """Refuses new calls, lets those in flight finish for at most `drain_s` seconds, and closes the backend.

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
        log.info("stopped")

    async def _set_health(self, status: int) -> None:
        for service in ("", *self._services):
            await self._health.set(service, status)
