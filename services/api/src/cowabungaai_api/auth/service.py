# SPDX-License-Identifier: Apache-2.0
"""Everything about callers in one object, which the gateway opens at its start and closes at its end."""

import asyncio
import logging
import time

from cowabungaai_api.auth import schema
from cowabungaai_api.auth.authenticator import GENERATE, Authenticator
from cowabungaai_api.auth.config import AuthConfig
from cowabungaai_api.auth.db import Database
from cowabungaai_api.auth.errors import DatabaseError
from cowabungaai_api.auth.limits import RateLimiter
from cowabungaai_api.auth.periods import day_before
from cowabungaai_api.auth.store import KeyStore
from cowabungaai_api.auth.usage import UsageTable
from cowabungaai_api.program import PROGRAM

FLUSH_S = 5.0
KEPT_DAYS = 400
"""How long usage is kept; a year and the month that it is compared with."""
CREATE_ADMIN = f"{PROGRAM} keys create --admin --name NAME"

log = logging.getLogger("cowabungaai.api.auth")


class Auth:
    """Who may ask, for what, and how much. Use it in one event loop.

    Args:
        database_url: as for Database.
        config: issuers of tokens, default limits, and how long a caller is believed.
        admin_key: a key that may do everything and is not in the database.
        flush_s: how often what was counted is written, in seconds.

    Raises:
        DatabaseError: the URL is unfit, or the file cannot be made.
        AuthConfigError: the admin key or an issuer's secret is unfit.
    """

    def __init__(
        self, database_url: str, config: AuthConfig, admin_key: str | None = None, flush_s: float = FLUSH_S
    ) -> None:
        self.db = Database(database_url)
        self.store = KeyStore(self.db)
        self.usage = UsageTable(self.db)
        self.limiter = RateLimiter(self.usage)
        self.authenticator = Authenticator(self.store, config, admin_key, self.limiter.prepare)
        self.store.on_change = self.authenticator.invalidate
        self._flush_s = flush_s
        self._flushing: asyncio.Task[None] | None = None
        self._forgotten_at = 0.0
        self._failing = False

    async def open(self) -> bool:
        """Makes or changes the tables, and begins to write what is counted.

        Returns:
            Whether anybody has the scope admin; else print how_to_make_admin_key().

        Raises:
            DatabaseError: the database cannot be used.
        """
        await schema.upgrade(self.db)
        self._flushing = asyncio.create_task(self._flush_for_ever())
        return await self.has_admin()

    async def close(self) -> None:
        """Writes what was counted, and closes all connections."""
        if self._flushing is not None:
            self._flushing.cancel()
            await asyncio.gather(self._flushing, return_exceptions=True)
            await self.flush()
        await self.authenticator.close()
        await self.db.close()

    async def has_admin(self) -> bool:
        """Whether anybody has the scope admin: by a key, or by an admin key that is not in the database.

        Raises:
            DatabaseError: the database cannot be used.
        """
        return self.authenticator.has_admin_key or await self.store.any_admin()

    async def check(self) -> None:
        """Asks the database something small, to see that it answers.

        Raises:
            DatabaseError: it does not.
        """
        await schema.current(self.db)

    def reconfigure(self, config: AuthConfig) -> None:
        """Takes a new configuration; all of it, or none where it is wrong.

        Args:
            config: the new one.

        Raises:
            AuthConfigError: an issuer's secret is unfit.
        """
        self.authenticator.reconfigure(config)

    async def flush(self) -> None:
        """Writes what was counted now. Where that fails it is logged and kept for the next time."""
        try:
            await self.limiter.flush()
            await self.store.flush()
            now = time.time()
            if now - self._forgotten_at > 24 * 3600:
                await self.usage.forget_before(day_before(now, KEPT_DAYS))
                self._forgotten_at = now
        except DatabaseError as error:
            if not self._failing:
                log.error("cannot write usage; it is kept in memory", extra={"fields": {"error": str(error)}})
            self._failing = True
        else:
            if self._failing:
                log.info("usage is written again")
            self._failing = False

    async def _flush_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._flush_s)
            await self.flush()


def how_to_make_admin_key() -> str:
    """What to print where nobody has the scope admin."""
    return (
        "nobody can manage API keys yet. Make a key that can, with the same database setting as the gateway:\n"
        f"    {CREATE_ADMIN}\n"
        "or give the gateway one that is not in the database, in the setting admin_key or admin_key_file:\n"
        f"    {GENERATE}"
    )
