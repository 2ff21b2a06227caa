# SPDX-License-Identifier: Apache-2.0
"""The database: SQLite in a file for one replica, PostgreSQL for several."""

import asyncio
import os
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import aiosqlite
import asyncpg
from sqlalchemy import URL, Connection, event
from sqlalchemy.engine.interfaces import AdaptedConnection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine

from cowabungaai_api.auth.errors import DatabaseError
from cowabungaai_api.program import PROGRAM

BUSY_MS = 10_000
BUSY_RETRY_S = 0.02
CONNECT_S = 10.0
STATEMENT_S = 30.0
UNDEFINED_TABLE = "42P01"
EXPECTED = "sqlite:////PATH or postgresql://USER@HOST/NAME"
SECRET_PARAMETERS = frozenset({"password", "sslpassword"})

_FAILURES = (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, sqlite3.Error, OSError)


class Database:
    """A database that is connected to when it is first used.

    Args:
        url: `sqlite:////PATH`, or `postgresql://USER:PASSWORD@HOST:PORT/NAME?...` with the parameters of libpq; a
            password may come from a file that PGPASSFILE names, too.

    Raises:
        DatabaseError: the URL is of neither form, or the file cannot be made.
    """

    def __init__(self, url: str) -> None:
        self.url = without_password(url)
        scheme = url.partition(":")[0]
        if scheme == "sqlite":
            self.engine = _sqlite(url)
        elif scheme in ("postgresql", "postgres"):
            self.engine = _postgresql(url)
        else:
            raise DatabaseError(f"database URL {self.url!r}: expected {EXPECTED}")

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file."""
        return self.engine.dialect.name == "sqlite"

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """A session that changes nothing.

        Raises:
            DatabaseError: the database cannot be used.
        """
        async with self.connection(read_only=True) as connection, AsyncSession(connection) as session:
            yield session

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        """A session whose changes are there after it, or none of them where it fails.

        Raises:
            DatabaseError: the database cannot be used.
        """
        async with (
            self.connection() as connection,
            AsyncSession(connection, expire_on_commit=False) as session,
        ):
            yield session
            await session.commit()

    @asynccontextmanager
    async def connection(self, read_only: bool = False) -> AsyncIterator[AsyncConnection]:
        """A connection in a transaction, which is committed at the end.

        Args:
            read_only: whether nothing will be written.

        Raises:
            DatabaseError: the database cannot be used.
        """
        try:
            async with self.engine.connect() as connection:
                await connection.execution_options(read_only=read_only)
                async with connection.begin():
                    yield connection
        except _FAILURES as error:
            raise DatabaseError(f"database {self.url}: {_reason(error)}") from error

    async def close(self) -> None:
        """Closes all connections."""
        await self.engine.dispose()


def without_password(url: str) -> str:
    """A database URL as it may be shown.

    Args:
        url: any URL.
    """
    if url.startswith("sqlite:"):
        return url
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(not a URL)"
    user, at, host = parts.netloc.rpartition("@")
    query = [(name, "***" if name in SECRET_PARAMETERS else value) for name, value in parse_qsl(parts.query)]
    shown = parts._replace(netloc=user.partition(":")[0] + at + host, query=urlencode(query, safe="*/:,"))
    return urlunsplit(shown)


def _reason(error: BaseException) -> str:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    # The asyncpg dialect puts the class before the message.
    text = (str(cause).splitlines() or [type(cause).__name__])[0].rpartition(">: ")[2]
    if "no such table" in text or getattr(cause, "sqlstate", None) == UNDEFINED_TABLE:
        return f"{text}; make the tables with: {PROGRAM} db upgrade"
    return text


def _sqlite(url: str) -> AsyncEngine:
    shown = without_password(url)
    path, question, _ = url.removeprefix("sqlite:///").partition("?")
    if not url.startswith("sqlite:///") or not path or question or path == ":memory:":
        raise DatabaseError(f"database URL {shown!r}: expected sqlite:////PATH, with no parameters")
    _make_file(Path(path), shown)
    target = URL.create("sqlite+aiosqlite", database=path)
    engine = create_async_engine(target, hide_parameters=True, connect_args={"timeout": BUSY_MS / 1000})

    @event.listens_for(engine.sync_engine, "connect")
    def _connect(connection: AdaptedConnection, record: object) -> None:
        connection.run_async(_prepare)

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        # A transaction that begins with reads cannot wait for a writer later: SQLite fails it at once.
        read_only = connection.get_execution_options().get("read_only", False)
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


async def _prepare(connection: aiosqlite.Connection) -> None:
    """Sets what every connection to a file needs."""
    # The driver would begin transactions by its own rules, and not at all before reads and changes of tables.
    connection.isolation_level = None
    for pragma in (f"busy_timeout={BUSY_MS}", "synchronous=NORMAL", "foreign_keys=ON"):
        await (await connection.execute(f"PRAGMA {pragma}")).close()
    deadline = time.monotonic() + BUSY_MS / 1000
    while True:
        try:
            await (await connection.execute("PRAGMA journal_mode=WAL")).close()
        except sqlite3.OperationalError as error:
            # SQLite itself does not wait for a writer here; replicas that start at once on a new file meet.
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            await asyncio.sleep(BUSY_RETRY_S)
        else:
            return


def _make_file(path: Path, shown: str) -> None:
    folder = path.parent
    if not folder.is_dir():
        raise DatabaseError(
            f"database {shown}: there is no folder {folder}; make it, or name another file in the database URL"
        )
    try:
        # Its journals get the mode of the file.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(descriptor).st_mode & 0o077:
                os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise DatabaseError(f"database {shown}: {error.strerror}; {_let_write(folder)}") from error
    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
        raise DatabaseError(f"database {shown}: the folder is not writable; {_let_write(folder)}")


def _let_write(folder: Path) -> str:
    return f"let user {os.geteuid()} write in {folder}, or name another file in the database URL"


def _postgresql(url: str) -> AsyncEngine:
    shown = without_password(url)

    async def connect(*_: Any, **__: Any) -> asyncpg.Connection:
        # asyncpg reads the URL itself, since it knows libpq's parameters and files; SQLAlchemy would not pass them on.
        try:
            return await asyncpg.connect(url, timeout=CONNECT_S, command_timeout=STATEMENT_S)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError) as error:
            reason = str(error) or f"no connection within {CONNECT_S:g} s"
            raise DatabaseError(f"database {shown}: {reason}") from error

    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        hide_parameters=True,
        pool_size=4,
        max_overflow=4,
        pool_timeout=CONNECT_S,
        pool_pre_ping=True,
        pool_recycle=1800,
    )
