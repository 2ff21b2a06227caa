# SPDX-License-Identifier: Apache-2.0
"""From a model's name to an answer: the pool, the retries on its other replicas, and the fallbacks."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from cowabungaai_api.config.file import GatewayConfig
from cowabungaai_api.errors import model_not_found, unknown_parameter
from cowabungaai_api.routing.connect import connector
from cowabungaai_api.routing.pool import Pool
from cowabungaai_api.routing.replica import Replica
from cowabungaai_api.routing.watch import PoolWatch
from cowabungaai_api.upstream.base import Call, Operation, Reply
from cowabungaai_sdk.errors import (
    BackendError,
    BackendFailedError,
    BackendOverloadedError,
    BackendTimeoutError,
    BackendUnavailableError,
)
from cowabungaai_sdk.v1.models_pb2 import Model as BackendModel

log = logging.getLogger("cowabungaai.api")

DESCRIBE_TIMEOUT_S = 1.0
"""How long the list of models waits for a backend that did not describe its models yet, in seconds."""
MIN_TIMEOUT_S = 0.001
"""What an attempt gets where waiting for a replica has used up the time, in seconds."""
ELSEWHERE = (BackendUnavailableError, BackendOverloadedError)
"""What another replica may not suffer from."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where a model's requests go.

    Args:
        name: the model's own name, whichever alias was used.
        backend_model: what the backend calls it.
        pool: its backend's replicas.
        fallbacks: names of models that may answer instead.
        created: when the gateway learnt of the model, in Unix seconds.
    """

    name: str
    backend_model: str
    pool: Pool
    fallbacks: tuple[str, ...]
    created: int


class Router:
    """Sends requests to replicas. Make it, reconfigure it and close it in one event loop.

    Args:
        config: models and backends.
        on_attempt: told of each attempt that failed: backend, replica, and why in a word.

    Raises:
        ConfigError: a secret that the configuration names is missing.
    """

    def __init__(self, config: GatewayConfig, on_attempt: Callable[[str, str, str], None] | None = None) -> None:
        self._on_attempt = on_attempt or (lambda *_: None)
        self._watches: dict[str, PoolWatch] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._described: dict[tuple[str, str], BackendModel] = {}
        self.pools: dict[str, Pool] = {}
        self.routes: dict[str, Route] = {}
        self._names: dict[str, Route] = {}
        self.reconfigure(config)

    def reconfigure(self, config: GatewayConfig) -> None:
        """Takes a new configuration, all of it or nothing. Pools whose configuration is the same go on as they are.

        Args:
            config: models and backends.

        Raises:
            ConfigError: a secret that it names is missing; nothing has changed.
        """
        used = dict(config.backend_of(model) for model in config.models)
        pools = {}
        for name, backend in used.items():
            kept = self.pools.get(name)
            pools[name] = kept if kept and kept.config == backend else Pool(name, backend, connector(name, backend))
        now, routes = int(time.time()), {}
        for model in config.models:
            name, _ = config.backend_of(model)
            old = self.routes.get(model.name)
            created = old.created if old else now
            backend_model = model.backend_model or model.name
            routes[model.name] = Route(model.name, backend_model, pools[name], model.fallbacks, created)
        old_pools, old_watches = self.pools, self._watches
        self.pools, self.routes = pools, routes
        self._names = {name: routes[model.name] for model in config.models for name in (model.name, *model.aliases)}
        self._watches = {
            name: old_watches[name] if old_pools.get(name) is pool else PoolWatch(pool) for name, pool in pools.items()
        }
        for name, pool in old_pools.items():
            if pools.get(name) is not pool:
                self._later(self._end(pool, old_watches[name]))

    def route(self, name: str) -> Route:
        """Finds where a model's requests go.

        Args:
            name: the model's name or an alias.

        Raises:
            ApiError: 404, there is no such model.
        """
        if (route := self._names.get(name)) is None:
            raise model_not_found(name)
        return route

    def check(self, route: Route, call: Call) -> None:
        """Refuses parameters that nobody would look at.

        Args:
            route: where the request goes.
            call: the request.

        Raises:
            ApiError: 400, the first such parameter.
        """
        for name in call.request.unknown:
            if name not in route.pool.config.extra_parameters:
                raise unknown_parameter(name)

    async def unary(self, route: Route, operation: Operation, call: Call, key: bytes | None) -> Reply:
        """Asks for a whole answer.

        Args:
            route: where to.
            operation: what is asked.
            call: the request.
            key: see Pool.acquire.

        Raises:
            BackendError: of the last attempt.
        """
        for_now: BackendError | None = None
        for candidate in self._candidates(route, call):
            try:
                return await self._unary(candidate, operation, call, key)
            except ELSEWHERE as error:
                for_now = for_now or error
        assert for_now is not None  # noqa: S101 - there is one candidate at least
        raise for_now

    async def _unary(self, route: Route, operation: Operation, call: Call, key: bytes | None) -> Reply:
        pool, deadline = route.pool, _now() + route.pool.config.timeout_s
        tried: list[Replica] = []
        while True:
            replica = await pool.acquire(key, tried)
            call.timeout_s = max(MIN_TIMEOUT_S, deadline - _now())
            try:
                reply = await replica.upstream.unary(operation, call, route.backend_model)
            except BackendError as error:
                self._failed(pool, replica, error)
                tried.append(replica)
                if not self._again(pool, tried, error):
                    raise
            else:
                replica.succeeded()
                return reply
            finally:
                pool.release(replica)

    async def stream(
        self, route: Route, operation: Operation, call: Call, key: bytes | None
    ) -> AsyncGenerator[bytes, None]:
        """Asks for an answer in events. Other replicas are tried until the first event is there, not later.

        Args:
            route: where to.
            operation: what is asked.
            call: the request.
            key: see Pool.acquire.

        Yields:
            Server-sent events.

        Raises:
            BackendError: of the last attempt, or what broke the stream.
        """
        for_now: BackendError | None = None
        for candidate in self._candidates(route, call):
            begun = False
            try:
                async with aclosing(self._stream(candidate, operation, call, key)) as events:
                    async for event in events:
                        begun = True
                        yield event
                return
            except ELSEWHERE as error:
                if begun:
                    raise
                for_now = for_now or error
        assert for_now is not None  # noqa: S101 - there is one candidate at least
        raise for_now

    async def _stream(
        self, route: Route, operation: Operation, call: Call, key: bytes | None
    ) -> AsyncGenerator[bytes, None]:
        pool, deadline, begun = route.pool, _now() + route.pool.config.timeout_s, False
        tried: list[Replica] = []
        while True:
            replica = await pool.acquire(key, tried)
            call.timeout_s = max(MIN_TIMEOUT_S, deadline - _now())
            try:
                async with aclosing(replica.upstream.stream(operation, call, route.backend_model)) as events:
                    async for event in events:
                        begun = True
                        yield event
            except BackendError as error:
                self._failed(pool, replica, error)
                tried.append(replica)
                if begun or not self._again(pool, tried, error):
                    raise
            else:
                replica.succeeded()
                return
            finally:
                pool.release(replica)

    def _candidates(self, route: Route, call: Call) -> list[Route]:
        """Who may answer: the model, and those of its fallbacks that the caller may use and that drop no parameter."""
        if not route.fallbacks:
            return [route]
        fallbacks = (self.routes[name] for name in route.fallbacks if name in self.routes and call.may_use(name))
        unknown = call.request.unknown.keys()
        return [route, *(found for found in fallbacks if unknown <= set(found.pool.config.extra_parameters))]

    @staticmethod
    def _again(pool: Pool, tried: Sequence[Replica], error: BackendError) -> bool:
        return isinstance(error, ELSEWHERE) and len(tried) <= pool.config.retries and len(tried) < len(pool.replicas)

    def _failed(self, pool: Pool, replica: Replica, error: BackendError) -> None:
        """Counts a failure against a replica, where it is one of the replica's own."""
        if not isinstance(error, BackendUnavailableError | BackendFailedError | BackendTimeoutError):
            return
        unreachable = isinstance(error, BackendUnavailableError) and not error.connected
        now = _now()
        reason = type(error).__name__.removeprefix("Backend").removesuffix("Error").lower()
        self._on_attempt(pool.name, replica.address, reason)
        if replica.has_failed(now, unreachable=unreachable):
            pause = round(replica.ejected_until - now, 1)
            fields = {"backend": pool.name, "replica": replica.address, "seconds": pause, "why": str(error)}
            log.warning("replica ejected", extra={"fields": fields})

    async def describe(self, names: Sequence[str], *, fresh: bool = False) -> dict[str, BackendModel]:
        """Says what backends tell of their models; those that cannot be asked are left out.

        Args:
            names: the models wanted.
            fresh: whether backends are asked again.
        """
        wanted = [self.routes[name] for name in dict.fromkeys(names)]
        key = self._described
        unknown = {r.pool.name: r.pool for r in wanted if fresh or (r.pool.name, r.backend_model) not in key}
        await asyncio.gather(*(self._ask(pool) for pool in unknown.values()))
        found = {route.name: self._described.get((route.pool.name, route.backend_model)) for route in wanted}
        return {name: model for name, model in found.items() if model is not None}

    async def _ask(self, pool: Pool) -> None:
        now = _now()
        # One that loads says so, although it takes no requests yet.
        replica = next((r for r in pool.replicas if r.usable(now)), None) or next(iter(pool.replicas), None)
        if replica is None:
            return
        try:
            for model in await replica.upstream.models(DESCRIBE_TIMEOUT_S):
                self._described[(pool.name, model.id)] = model
        except BackendError as error:
            fields = {"backend": pool.name, "why": str(error)}
            log.warning("backend has not described its models", extra={"fields": fields})

    async def close(self) -> None:
        """Ends all watches and closes all connections."""
        await asyncio.gather(*(self._end(pool, self._watches[name]) for name, pool in self.pools.items()))
        await asyncio.gather(*self._closing)

    async def _end(self, pool: Pool, watch: PoolWatch) -> None:
        await watch.close()
        await pool.close()

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def _now() -> float:
    return asyncio.get_running_loop().time()
