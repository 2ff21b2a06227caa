# SPDX-License-Identifier: Apache-2.0
"""API keys in the real databases."""

import asyncio
from collections.abc import Callable

import pytest
from sqlalchemy import text

from cowabungaai_api.auth import keys, schema
from cowabungaai_api.auth.db import Database
from cowabungaai_api.auth.errors import DatabaseError, KeyNotFoundError, KeyRevokedError
from cowabungaai_api.auth.principal import Limits
from cowabungaai_api.auth.store import KeyStore

pytestmark = pytest.mark.anyio


async def test_a_key_is_what_was_asked_for(store: KeyStore) -> None:
    limits = Limits(1, 2, 3, 4, 2**53)
    new = await store.create("Büro ☕", ["inference", "admin"], ["llama-*"], limits, 1800000000)
    key = new.key
    assert keys.is_well_formed(new.secret)
    assert key.prefix == new.secret[:11]
    assert (key.name, key.models, key.limits) == ("Büro ☕", ("llama-*",), limits)
    assert key.scopes == {"inference", "admin"}
    assert (key.created_at, key.expires_at) == (1769900400, 1800000000)
    assert (key.revoked_at, key.last_used_at, key.previous_until) == (None, None, None)
    assert await store.get(key.id) == key


async def test_no_models_and_all_models_differ(store: KeyStore) -> None:
    none = await store.create("none", ["inference"], [])
    every = await store.create("all", ["inference"], None)
    assert (await store.get(none.key.id)).models == ()
    assert (await store.get(every.key.id)).models is None


async def test_the_secret_is_stored_nowhere(store: KeyStore, db: Database) -> None:
    new = await store.create("first", ["inference"])
    async with db.reading() as session:
        row = (await session.execute(text("SELECT * FROM api_keys"))).one()
    assert all(new.secret[11:] not in str(value) for value in row)
    assert keys.digest(new.secret) in [bytes(value) for value in row if isinstance(value, bytes | memoryview)]


async def test_a_key_is_found_by_its_secret_alone(store: KeyStore) -> None:
    new = await store.create("first", ["inference"])
    found = await store.find(new.secret)
    assert found is not None
    assert (found.key, found.good_until) == (new.key, None)
    assert await store.find(keys.generate()) is None


@pytest.mark.parametrize("id", ["key_" + "0" * 30, "nonsense", "", "key_\0", "' OR 1=1 --"])
async def test_a_key_that_is_not_there_is_told(store: KeyStore, id: str) -> None:
    for action in (store.get, store.revoke, store.rotate, store.update):
        with pytest.raises(KeyNotFoundError, match="no API key"):
            await action(id)


async def test_pages_forwards_and_backwards(store: KeyStore) -> None:
    made = [(await store.create(str(number), ["inference"])).key.id for number in range(7)]

    async def page(**where: object) -> tuple[list[int], bool]:
        found, more = await store.list(**where)  # type: ignore[arg-type]
        return [made.index(key.id) for key in found], more

    assert await page(limit=3) == ([6, 5, 4], True)
    assert await page(limit=3, after=made[4]) == ([3, 2, 1], True)
    assert await page(limit=3, after=made[1]) == ([0], False)
    assert await page(limit=3, before=made[1]) == ([4, 3, 2], True)
    assert await page(limit=3, before=made[4]) == ([6, 5], False)
    assert await page(limit=3, order="asc") == ([0, 1, 2], True)
    assert await page(limit=3, order="asc", after=made[3]) == ([4, 5, 6], False)
    assert await page(limit=3, order="asc", before=made[6]) == ([3, 4, 5], True)
    assert await page(limit=2, order="asc", after=made[1], before=made[5]) == ([2, 3], True)
    assert await page(limit=9, after=made[5], before=made[1]) == ([4, 3, 2], False)
    assert await page(limit=7) == ([6, 5, 4, 3, 2, 1, 0], False)


async def test_only_what_is_given_changes(store: KeyStore) -> None:
    key = (await store.create("first", ["inference"], ["a"], Limits(1), 1800000000)).key
    renamed = await store.update(key.id, name="second")
    assert renamed == await store.get(key.id)
    assert (renamed.name, renamed.models, renamed.limits, renamed.expires_at) == (
        "second",
        ("a",),
        Limits(1),
        1800000000,
    )
    changed = await store.update(key.id, scopes=["admin"], models=None, limits=Limits(None, 7), expires_at=None)
    assert changed.scopes == {"admin"}
    assert (changed.models, changed.limits, changed.expires_at) == (None, Limits(None, 7), None)
    assert changed == await store.get(key.id)


async def test_revoked_keys_stay_and_stay_revoked(store: KeyStore, clock: Callable[[], float]) -> None:
    new = await store.create("first", ["inference"])
    revoked = await store.revoke(new.key.id)
    clock.now += 100  # type: ignore[attr-defined]
    assert await store.revoke(new.key.id) == revoked
    assert revoked.revoked_at == 1769900400
    assert (await store.list())[0] == [revoked]
    for change in (store.update(new.key.id, name="x"), store.rotate(new.key.id)):
        with pytest.raises(KeyRevokedError, match="make a new one"):
            await change
    assert await store.get(new.key.id) == revoked


async def test_rotation_with_and_without_grace(store: KeyStore) -> None:
    first = await store.create("first", ["inference"])
    second = await store.rotate(first.key.id, 60)
    assert second.key.id == first.key.id
    assert second.secret != first.secret
    old, new = await store.find(first.secret), await store.find(second.secret)
    assert old is not None
    assert new is not None
    assert (old.good_until, new.good_until) == (1769900460, None)
    third = await store.rotate(first.key.id)
    assert await store.find(first.secret) is None
    old, new = await store.find(second.secret), await store.find(third.secret)
    assert old is not None
    assert new is not None
    assert (old.good_until, new.good_until) == (1769900400, None)


async def test_changes_are_announced(store: KeyStore) -> None:
    announced: list[str] = []
    store.on_change = announced.append
    id = (await store.create("first", ["inference"])).key.id
    await store.update(id, name="x")
    await store.rotate(id)
    await store.revoke(id)
    assert announced == [id] * 3


async def test_use_is_written_once_a_minute(
    store: KeyStore, new_store: Callable[[], KeyStore], clock: Callable[[], float]
) -> None:
    key = (await store.create("first", ["inference"])).key

    async def used_at(later: float) -> int | None:
        clock.now += later  # type: ignore[attr-defined]
        store.touch(await store.get(key.id))
        await store.flush()
        return (await store.get(key.id)).last_used_at

    assert [await used_at(0), await used_at(59), await used_at(1)] == [1769900400, 1769900400, 1769900460]


async def test_an_earlier_use_of_another_replica_does_not_win(store: KeyStore, clock: Callable[[], float]) -> None:
    key = (await store.create("first", ["inference"])).key
    store.touch(key)
    late, store._touched = store._touched, {}
    clock.now += 1000  # type: ignore[attr-defined]
    store.touch(key)
    await store.flush()
    store._touched = late
    await store.flush()
    assert (await store.get(key.id)).last_used_at == 1769901400


async def test_use_is_kept_while_the_database_fails(store: KeyStore, db: Database) -> None:
    key = (await store.create("first", ["inference"])).key
    store.touch(key)
    async with db.connection() as connection:
        await connection.execute(text("ALTER TABLE api_keys RENAME TO away"))
    with pytest.raises(DatabaseError):
        await store.flush()
    async with db.connection() as connection:
        await connection.execute(text("ALTER TABLE away RENAME TO api_keys"))
    await store.flush()
    assert (await store.get(key.id)).last_used_at == 1769900400


async def test_admins_are_those_whose_key_is_good(store: KeyStore, clock: Callable[[], float]) -> None:
    assert not await store.any_admin()
    await store.create("user", ["inference"])
    assert not await store.any_admin()
    key = (await store.create("short", ["admin"], expires_at=1769900410)).key
    assert await store.any_admin()
    clock.now += 10  # type: ignore[attr-defined]
    assert not await store.any_admin()
    await store.update(key.id, expires_at=None)
    assert await store.any_admin()
    await store.revoke(key.id)
    assert not await store.any_admin()


async def test_replicas_may_write_at_once(store: KeyStore, new_store: Callable[[], KeyStore]) -> None:
    replicas = [store, new_store(), new_store()]
    await asyncio.gather(*(replica.create(str(number), ["inference"]) for number in range(10) for replica in replicas))
    assert len((await store.list(100))[0]) == 30
    for replica in replicas[1:]:
        await replica._db.close()


async def test_rotations_at_once_leave_one_good_secret(store: KeyStore) -> None:
    key = (await store.create("first", ["inference"])).key
    made = await asyncio.gather(*(store.rotate(key.id) for _ in range(4)))
    found = [await store.find(new.secret) for new in made]
    assert len([one for one in found if one is not None and one.good_until is None]) == 1


async def test_missing_tables_are_a_database_error(store: KeyStore, db: Database) -> None:
    await schema.downgrade(db, "base")
    with pytest.raises(DatabaseError, match="db upgrade"):
        await store.create("first", ["inference"])
