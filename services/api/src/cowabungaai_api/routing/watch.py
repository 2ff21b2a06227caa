# SPDX-License-Identifier: Apache-2.0
"""What goes on beside the requests: health checks, and names looked up again."""

import asyncio
import logging
import random
import socket
from urllib.parse import urlsplit, urlunsplit

from cowabungaai_api.routing.pool import Pool
from cowabungaai_api.routing.replica import Replica

log = logging.getLogger("cowabungaai.api")


class PoolWatch:
    """Keeps a pool's replicas and their health up to date.

    Args:
        pool: the pool.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._tasks = [asyncio.create_task(self._check_forever(), name=f"health of {pool.name}")]
        if pool.config.dns:
            self._tasks.append(asyncio.create_task(self._resolve_forever(pool.config.dns), name=f"dns of {pool.name}"))

    async def close(self) -> None:
        """Ends the watch."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _check_forever(self) -> None:
        health = self._pool.config.health
        while True:
            try:
                await asyncio.gather(*(self._check(replica) for replica in self._pool.replicas))
            except Exception:
                # One that cannot be asked at all must not end the checks of the others.
                log.exception("health checks failed", extra={"fields": {"backend": self._pool.name}})
            # Gateways that started together must not ask together.
            await asyncio.sleep(health.interval_s * random.uniform(0.9, 1.1))  # noqa: S311 - not for secrecy

    async def _check(self, replica: Replica) -> None:
        before = replica.healthy
        healthy = await replica.upstream.healthy(self._pool.config.health.timeout_s)
        replica.checked(healthy)
        if healthy is not before:
            fields = {"backend": self._pool.name, "replica": replica.address, "healthy": healthy}
            log.log(logging.INFO if healthy else logging.WARNING, "replica health", extra={"fields": fields})
            if healthy:
                self._pool.admit()

    async def _resolve_forever(self, url: str) -> None:
        while True:
            await self.resolve(url)
            await asyncio.sleep(self._pool.config.dns_refresh_s)

    async def resolve(self, url: str) -> None:
        """Looks a name up once, and makes its addresses the pool's replicas; a failure leaves them as they are.

        Args:
            url: as the configuration's `dns`.
        """
        parts = urlsplit(url)
        try:
            found = await asyncio.get_running_loop().getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            fields = {"backend": self._pool.name, "name": parts.hostname, "why": str(error)}
            log.warning("name cannot be looked up", extra={"fields": fields})
            return
        addresses = sorted({str(entry[4][0]) for entry in found})
        urls = [urlunsplit(parts._replace(netloc=_authority(address, parts.port or 0))) for address in addresses]
        if urls != [replica.address for replica in self._pool.replicas]:
            changed = {"backend": self._pool.name, "replicas": urls}
            log.info("replicas changed", extra={"fields": changed})
            self._pool.set_addresses(urls)
            await asyncio.gather(*(self._check(r) for r in self._pool.replicas if r.healthy is None))


def _authority(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
