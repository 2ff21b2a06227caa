# SPDX-License-Identifier: Apache-2.0
"""The tables and the way to them, on both databases."""

import asyncio
import os
import sqlite3
import stat
import sys
from contextlib import closing
from pathlib import Path

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from cowabungaai_api.auth import schema
from cowabungaai_api.auth.account import Counts
from cowabungaai_api.auth.db import Database, without_password
from cowabungaai_api.auth.errors import DatabaseError
from cowabungaai_api.auth.store import KeyStore
from cowabungaai_api.auth.tables import Base
from cowabungaai_api.auth.usage import UsageTable

pytestmark = pytest.mark.anyio
POSTGRES_URL = "COWABUNGAAI_TEST_POSTGRES_URL"


async def _tables(db: Database) -> set[str]:
    async with db.connection() as connection:
        return set(await connection.run_sync(lambda sync: inspect(sync).get_table_names()))


async def test_migrations_make_what_the_models_say(db: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        options = {"version_table": schema.VERSION_TABLE, "compare_type": True, "compare_server_default": True}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata))

    async with db.connection() as connection:
        assert await connection.run_sync(differences) == []


async def test_up_down_and_up_again_on_a_filled_database(db: Database, store: KeyStore) -> None:
    await store.create("first", ["inference"], models=["llama-*"])
    await UsageTable(db).add({("key", "2026-01-31"): Counts(1, 2)})
    await schema.downgrade(db, "base")
    assert await _tables(db) == {schema.VERSION_TABLE}
    assert await schema.current(db) is None
    await schema.upgrade(db)
    assert await schema.current(db) == "0001"
    assert await store.list() == ([], False)


def test_the_newest_version_is_known() -> None:
    folder = Path(schema.__file__).parent / "migrations"
    assert ScriptDirectory(folder).get_current_head() == schema.HEAD


async def test_upgrading_again_changes_nothing(db: Database, store: KeyStore) -> None:
    made = await store.create("first", ["inference"])
    await schema.upgrade(db)
    assert await store.get(made.key.id) == made.key


async def test_replicas_may_start_at_once(database_url: str) -> None:
    replicas = [Database(database_url) for _ in range(4)]
    await asyncio.gather(*map(schema.upgrade, replicas))
    assert await schema.current(replicas[0]) == "0001"
    for replica in replicas:
        await replica.close()


async def test_a_new_file_that_another_writes_to_is_waited_for(tmp_path: Path) -> None:
    """SQLite itself fails at once where the journal is changed beside a writer."""
    file = tmp_path / "auth.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("CREATE TABLE other (id INTEGER)")
        other.execute("BEGIN IMMEDIATE")
        db = Database(f"sqlite:///{file}")
        waiting = asyncio.create_task(schema.upgrade(db))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        other.execute("COMMIT")
    await waiting
    assert await schema.current(db) == "0001"
    await db.close()


async def test_processes_may_start_at_once(database_url: str) -> None:
    script = """
import asyncio, sys
from cowabungaai_api.auth import schema
from cowabungaai_api.auth.db import Database

async def main():
    db = Database(sys.argv[1])
    await schema.upgrade(db)
    await db.close()

asyncio.run(main())
"""
    arguments = (sys.executable, "-c", script, database_url)
    running = [await asyncio.create_subprocess_exec(*arguments) for _ in range(2)]
    assert [await process.wait() for process in running] == [0, 0]


async def test_a_failed_migration_changes_nothing(database_url: str) -> None:
    db = Database(database_url)
    async with db.connection() as connection:
        await connection.execute(text("CREATE TABLE usage (id INTEGER)"))
    with pytest.raises(DatabaseError, match="usage"):
        await schema.upgrade(db)
    assert await _tables(db) <= {"usage", schema.VERSION_TABLE}
    assert await schema.current(db) is None
    await db.close()


async def test_an_unknown_version_is_told(db: Database) -> None:
    with pytest.raises(DatabaseError, match="nonsense"):
        await schema.upgrade(db, "nonsense")


async def test_missing_tables_are_told_with_the_command_that_makes_them(database_url: str) -> None:
    db = Database(database_url)
    with pytest.raises(DatabaseError, match="python -m cowabungaai_api db upgrade"):
        await KeyStore(db).list()
    await db.close()


async def test_a_failed_change_is_undone(db: Database) -> None:
    async def change() -> None:
        async with db.writing() as session:
            for _ in range(2):
                await session.execute(text("INSERT INTO usage VALUES ('a', '2026-01', 1, 1)"))

    with pytest.raises(DatabaseError):
        await change()
    assert await UsageTable(db).read(["a"], ["2026-01"]) == {}


async def test_sqlite_keeps_its_files_to_itself(sqlite_url: str, tmp_path: Path) -> None:
    path = tmp_path / "auth.db"
    path.touch(mode=0o644)
    db = Database(sqlite_url)
    await schema.upgrade(db)
    async with db.reading() as session:
        pragmas = [await session.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "foreign_keys")]
        names = await asyncio.to_thread(os.listdir, tmp_path)
        files = {name: stat.S_IMODE(os.stat(tmp_path / name).st_mode) for name in names}
    assert pragmas == ["wal", 1]
    assert files == {"auth.db": 0o600, "auth.db-wal": 0o600, "auth.db-shm": 0o600}
    await db.close()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:////nowhere/at/all.db", "there is no folder /nowhere/at; make it"),
        ("sqlite://", "expected sqlite:////PATH"),
        ("sqlite:///:memory:", "expected sqlite:////PATH"),
        ("sqlite:////tmp/x.db?mode=ro", "with no parameters"),
        ("mysql://root:secret@host/db", r"mysql://root@host/db.*expected sqlite:////PATH or postgresql://"),
        ("", "expected sqlite:////PATH or postgresql://"),
    ],
)
def test_unfit_urls_are_told(url: str, expected: str) -> None:
    with pytest.raises(DatabaseError, match=expected) as caught:
        Database(url)
    assert "secret" not in str(caught.value)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o555)
    # Whom modes do not stop, a folder's name in the place of the file's does.
    path = folder / "auth.db" if os.geteuid() else folder
    with pytest.raises(DatabaseError, match=f"let user {os.geteuid()} write in .*or name another file"):
        Database(f"sqlite:///{path}")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:secret@h:1/d", "postgresql://u@h:1/d"),
        (
            "postgresql://h/d?user=u&password=secret&sslmode=verify-full",
            "postgresql://h/d?user=u&password=***&sslmode=verify-full",
        ),
        ("postgresql://[bad", "(not a URL)"),
    ],
)
def test_passwords_are_not_shown(url: str, shown: str) -> None:
    assert without_password(url) == shown


@pytest.mark.parametrize("parameter", ["sslmode=nonsense", "port=x"])
async def test_a_wrong_parameter_is_told(parameter: str) -> None:
    db = Database(f"postgresql://u:secret@127.0.0.1/d?{parameter}")
    with pytest.raises(DatabaseError, match=r"database postgresql://u@127.0.0.1/d") as caught:
        await schema.upgrade(db)
    assert "secret" not in str(caught.value)


async def test_a_server_that_is_not_there_is_told() -> None:
    db = Database("postgresql://u:secret@127.0.0.1:1/d")
    with pytest.raises(DatabaseError, match=r"database postgresql://u@127\.0\.0\.1:1/d: .*Connect call failed"):
        await schema.upgrade(db)


@pytest.mark.skipif(POSTGRES_URL in os.environ, reason="needs a server whose rules of access the tests may set")
async def test_a_password_may_come_from_a_file(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres_url.replace("postgres:@", "locked@")
    for password, works in (("wrong", False), ("right", True)):
        file = tmp_path / f"pgpass-{works}"
        file.touch(mode=0o600)
        file.write_text(f"*:*:*:locked:{password}\n")
        monkeypatch.setenv("PGPASSFILE", str(file))
        db = Database(url)
        if works:
            async with db.connection() as connection:
                assert await connection.scalar(text("SELECT current_user")) == "locked"
        else:
            with pytest.raises(DatabaseError, match="password authentication failed"):
                async with db.connection():
                    pass
        await db.close()


async def test_connections_that_broke_are_replaced(postgres_url: str) -> None:
    db = Database(postgres_url)
    await schema.upgrade(db)
    admin = await asyncpg.connect(postgres_url)
    await admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE pid <> pg_backend_pid() AND datname = current_database()"
    )
    assert await KeyStore(db).list() == ([], False)
    await admin.close()
    await db.close()
