# SPDX-License-Identifier: Apache-2.0
"""Brings the tables to a version, with alembic. Replicas that start at once wait for each other."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from cowabungaai_api.auth.db import Database
from cowabungaai_api.auth.errors import DatabaseError

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0001"
"""The newest version: the last file under migrations/versions."""
VERSION_TABLE = "auth_schema_version"
LOCK = 0x636261695F617574
"""PostgreSQL's advisory locks have numbers; this one is `cbai_aut` in ASCII."""


async def upgrade(db: Database, revision: str = HEAD) -> None:
    """Makes or changes the tables; nothing where they are right already.

    Args:
        db: the database.
        revision: the version to go to.

    Raises:
        DatabaseError: it cannot be used, or there is no such version.
    """
    # Nearly every start finds the tables as they should be, and needs neither alembic nor a lock.
    if await current(db) != revision:
        from alembic import command

        await _run(db, lambda config: command.upgrade(config, revision))


async def downgrade(db: Database, revision: str) -> None:
    """Changes the tables back; what only newer versions have is lost.

    Args:
        db: the database.
        revision: the version to go to; `base` for no tables.

    Raises:
        DatabaseError: it cannot be used, or there is no such version.
    """
    from alembic import command

    await _run(db, lambda config: command.downgrade(config, revision))


async def current(db: Database) -> str | None:
    """The version of the tables; None where there are none.

    Args:
        db: the database.

    Raises:
        DatabaseError: it cannot be used.
    """

    def read(connection: Connection) -> str | None:
        if not inspect(connection).has_table(VERSION_TABLE):
            return None
        version: str | None = connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608 - constant
        return version

    async with db.connection(read_only=True) as connection:
        return await connection.run_sync(read)


async def _run(db: Database, action: Callable[["Config"], None]) -> None:
    from alembic.config import Config
    from alembic.util import CommandError

    def migrate(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
        config.attributes["connection"] = connection
        config.attributes["version_table"] = VERSION_TABLE
        action(config)

    try:
        # SQLite's lock comes with the transaction.
        async with db.connection() as connection:
            if not db.is_sqlite:
                await connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": LOCK})
            await connection.run_sync(migrate)
    except CommandError as error:
        raise DatabaseError(f"database {db.url}: {error}") from error
