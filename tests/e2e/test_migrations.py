# SPDX-License-Identifier: Apache-2.0
"""Migrations on a filled PostgreSQL, while both replicas serve."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import cowabungaai_api.auth.migrations
import httpx2
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from cowabungaai_api.auth import schema
from cowabungaai_api.auth.db import Database
from cowabungaai_api.auth.tables import Base
from sqlalchemy import Connection
from stack import OWN, Stack, ask, db

MakeKey = Callable[..., dict[str, Any]]
URL = os.environ.get("COWABUNGAAI_API_DATABASE_URL", "")
TABLES = {"api_keys", "usage"}


def revisions() -> list[str]:
    """All versions of the tables, the oldest first."""
    config = Config()
    config.set_main_option("script_location", str(Path(cowabungaai_api.auth.migrations.__file__).parent))
    return [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()][::-1]


def rows(query: str) -> list[asyncpg.Record]:
    """What the database answers."""

    async def fetch() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(URL)
        try:
            found: list[asyncpg.Record] = await connection.fetch(query)
            return found
        finally:
            await connection.close()

    return asyncio.run(fetch())


def tables() -> set[str]:
    """Names of the tables that the database has, but for the one of the version."""
    found = {row["tablename"] for row in rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}
    return found - {schema.VERSION_TABLE}


def differences() -> list[Any]:
    """What differs between the database's tables and those of the code."""

    async def compare() -> list[Any]:
        database = Database(URL)

        def look(connection: Connection) -> list[Any]:
            context = MigrationContext.configure(connection, opts={"version_table": schema.VERSION_TABLE})
            return list(compare_metadata(context, Base.metadata))

        try:
            async with database.connection(read_only=True) as connection:
                found: list[Any] = await connection.run_sync(look)
                return found
        finally:
            await database.close()

    return asyncio.run(compare())


@pytest.fixture
def filled(stack: Stack, make_key: MakeKey) -> list[dict[str, Any]]:
    """Keys of every form, which were used; their usage is in the database."""
    made = [
        make_key(name="plain"),
        make_key(name="limited", limits={"requests_per_day": 1000, "tokens_per_month": 10**12}),
        make_key(name="one model", models=[stack.model]),
        make_key(name="ends", expires_at=int(time.time()) + 86400),
    ]
    for key in made:
        for replica in range(len(stack.gateways)):
            with stack.http(replica, key["value"]) as client:
                assert ask(client, stack.model).status_code == 200
    deadline = time.monotonic() + 30
    wanted = {key["id"] for key in made}
    while wanted - {row["principal_id"] for row in rows("SELECT principal_id FROM usage")}:
        assert time.monotonic() < deadline, "usage did not reach the database"
        time.sleep(0.5)
    return made


def test_the_gateway_made_the_tables_as_the_code_has_them(stack: Stack) -> None:
    assert db("current") == schema.HEAD == revisions()[-1]
    assert tables() == TABLES
    assert differences() == []


def test_up_again_without_a_change_keeps_everything(filled: list[dict[str, Any]]) -> None:
    # When a key was last used is written at any time.
    query = "SELECT id, name, secret_hash, models::text, requests_per_day, expires_at FROM api_keys ORDER BY id"
    before = rows(query)
    assert len(before) >= len(filled)
    assert db("upgrade") == schema.HEAD
    assert rows(query) == before


def test_down_and_up_again_step_by_step_on_a_filled_database(
    stack: Stack, admins: list[httpx2.Client], make_key: MakeKey, filled: list[dict[str, Any]]
) -> None:
    known = revisions()
    for revision in known[:-1][::-1]:
        assert db("downgrade", revision) == revision
    assert db("downgrade", "base") == "base"
    assert tables() == set()
    # Whom a replica knows it may still serve; else it says that it cannot, and never fails in another way.
    for admin in admins:
        assert ask(admin, stack.model).status_code in (200, 503)
        assert admin.get(f"{OWN}/auth/api-keys").status_code == 503
        assert admin.get("/livez").status_code == 200
    for revision in known:
        assert db("upgrade", revision) == revision
    assert tables() == TABLES
    assert differences() == []
    # Without a restart, keys can be made again. Those from before are gone, as `db downgrade --help` says.
    key = make_key(name="after")
    for replica in range(len(stack.gateways)):
        with stack.http(replica, key["value"]) as client:
            assert ask(client, stack.model).status_code == 200
    assert {row["id"] for row in rows("SELECT id FROM api_keys")} == {key["id"]}


def test_two_upgrades_at_once_wait_for_each_other() -> None:
    assert db("downgrade", "base") == "base"

    async def both() -> list[str]:
        return await asyncio.gather(*(asyncio.to_thread(db, "upgrade") for _ in range(2)))

    assert asyncio.run(both()) == [schema.HEAD, schema.HEAD]
    assert differences() == []
