# SPDX-License-Identifier: Apache-2.0
"""gRPC reflection, for people with a generic client; imported when the first of them asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc

SERVICE = "grpc.reflection.v1alpha.ServerReflection"


class LazyReflection(grpc.GenericRpcHandler):
    """Answers what services there are.

    Args:
        services: their full names.
    """

    def __init__(self, services: Sequence[str]) -> None:
        self._services = services
        self._handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Finds the handler of a method; None for those of other services."""
        if not handler_call_details.method.startswith(f"/{SERVICE}/"):
            return None
        if not self._handlers:
            self._handlers = self._load()
        return self._handlers.get(handler_call_details.method.rpartition("/")[2])

    def _load(self) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        from grpc_reflection.v1alpha import reflection, reflection_pb2

        servicer = reflection.aio.ReflectionServicer([*self._services, SERVICE])
        return {
            "ServerReflectionInfo": grpc.stream_stream_rpc_method_handler(
                servicer.ServerReflectionInfo,
                request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
                response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
            )
        }
