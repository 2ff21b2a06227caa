"""The backends behind the models: one kept connection for each address."""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from cowabungaai_api.config import GatewayConfig, ModelRoute
from cowabungaai_api.errors import model_not_found
from cowabungaai_sdk.client import ChatClient
from cowabungaai_sdk.errors import BackendError
from cowabungaai_sdk.v1.models_pb2 import Model

log = logging.getLogger("cowabungaai.api")

LIST_TIMEOUT_S = 1.0
"""How long the list of models waits for a backend that did not describe its models yet."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes.

    Args:
        client: the backend's client.
        backend_model: the model's name there.
    """

    client: ChatClient
    backend_model: str


@dataclass(frozen=True, slots=True)
class Description:
    """What is known of a model that the gateway offers.

    Args:
        name: what clients call it.
        created: in Unix seconds.
        owned_by: who publishes it.
    """

    name: str
    created: int
    owned_by: str


class Backends:
    """Finds the backend of a model. Make and close it in the event loop that uses it.

    Args:
        config: names the models and their backends.
    """

    def __init__(self, config: GatewayConfig) -> None:
        self._routes = {route.name: route for route in config.models}
        addresses = {route.backend for route in config.models}
        self._clients = {address: ChatClient(address, config.request_timeout_s) for address in addresses}
        self._described: dict[str, Sequence[Model]] = {}
        self._started = int(time.time())

    def target(self, name: str) -> Target:
        """Finds where requests for a model go.

        Args:
            name: what the client calls the model.

        Raises:
            ApiError: 404, there is no such model.
        """
        if (route := self._routes.get(name)) is None:
            raise model_not_found(name)
        return Target(self._clients[route.backend], _backend_model(route))

    async def describe(self) -> list[Description]:
        """Describes every model offered, in the order of the configuration.

        A backend describes its own models, once; until it can, the gateway's start stands for their time.
        """
        missing = [address for address in self._clients if address not in self._described]
        await asyncio.gather(*(self._ask(address) for address in missing))
        return [self._description(route) for route in self._routes.values()]

    async def close(self) -> None:
        """Closes all connections."""
        await asyncio.gather(*(client.close() for client in self._clients.values()))

    async def _ask(self, address: str) -> None:
        try:
            self._described[address] = await self._clients[address].models(LIST_TIMEOUT_S)
        except BackendError as error:
            log.warning(
                "backend has not described its models", extra={"fields": {"backend": address, "why": str(error)}}
            )

    def _description(self, route: ModelRoute) -> Description:
        for model in self._described.get(route.backend, ()):
            if model.id == _backend_model(route):
                return Description(route.name, model.created or self._started, model.owned_by or "cowabungaai")
        return Description(route.name, self._started, "cowabungaai")


def _backend_model(route: ModelRoute) -> str:
    return route.backend_model or route.name
