# SPDX-License-Identifier: Apache-2.0
"""Who asks, by API key; with real keys in both databases."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from cowabungaai_api.auth import keys, schema
from cowabungaai_api.auth.authenticator import MAX_REFUSED, Authenticator
from cowabungaai_api.auth.config import AuthConfig, LimitsConfig
from cowabungaai_api.auth.db import Database
from cowabungaai_api.auth.errors import AuthConfigError, AuthenticationError, DatabaseError
from cowabungaai_api.auth.principal import Limits, Principal
from cowabungaai_api.auth.store import KeyStore

pytestmark = pytest.mark.anyio
CONFIG = AuthConfig(default_limits=LimitsConfig(requests_per_minute=10, tokens_per_day=1000), cache_seconds=30)
Make = Callable[..., Authenticator]


def bearer(key: str) -> bytes:
    return f"Bearer {key}".encode()


@pytest.fixture
def make(store: KeyStore, clock: Callable[[], float]) -> Make:
    def made(**options: Any) -> Authenticator:
        found = Authenticator(store, options.pop("config", CONFIG), clock=clock, **options)
        store.on_change = found.invalidate
        return found

    return made


@pytest.fixture
def authenticator(make: Make) -> Authenticator:
    return make()


async def test_a_good_key_is_known_and_then_cached(authenticator: Authenticator, store: KeyStore) -> None:
    new = await store.create("first", ["inference"], ["llama-*"], Limits(5), 1800000000)
    header = bearer(new.secret)
    assert authenticator.cached(header) is None
    principal = await authenticator.authenticate(header)
    assert principal == Principal(
        new.key.id,
        "first",
        "api_key",
        frozenset({"inference"}),
        ("llama-*",),
        Limits(5, None, None, 1000, None),
        1800000000.0,
    )
    assert authenticator.cached(header) is principal
    assert await authenticator.authenticate(header) is principal


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer "])
async def test_the_scheme_is_read_as_http_has_it(authenticator: Authenticator, store: KeyStore, scheme: str) -> None:
    new = await store.create("first", ["inference"])
    assert (await authenticator.authenticate(f"{scheme} {new.secret} ".encode())).id == new.key.id


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (None, "did not send an API key"),
        (b"", "did not send an API key"),
        (b"Bearer", "header is malformed; expected 'Authorization: Bearer YOUR_KEY'"),
        (b"Bearer  ", "header is malformed"),
        (b"Basic dXNlcjpwYXNz", "header is malformed"),
        (bearer(keys.make(5))[7:], "header is malformed"),
        (bearer("sk-1234"), "unknown form; expected one that begins with 'cbai_'."),
        (bearer("a.b.c"), "unknown form"),
        (bearer("cbai_1234"), "malformed: its length or checksum is wrong"),
        (bearer(keys.make(5)[:-1] + "x"), "malformed: its length or checksum is wrong"),
        (bearer(keys.make(5)), "not known here"),
        ("Bearer cbai_ü".encode(), "expected ASCII"),
    ],
)
async def test_wrong_headers_are_told_what_is_wrong(
    authenticator: Authenticator, header: bytes | None, message: str
) -> None:
    for _ in range(2):
        with pytest.raises(AuthenticationError, match=message) as caught:
            await authenticator.authenticate(header)
        assert (caught.value.status, caught.value.code) == (401, "invalid_api_key")
        assert authenticator.cached(header or b"") is None


async def test_malformed_keys_never_reach_the_database(authenticator: Authenticator, db: Database) -> None:
    await schema.downgrade(db, "base")
    with pytest.raises(AuthenticationError, match="checksum"):
        await authenticator.authenticate(bearer("cbai_1234"))
    with pytest.raises(DatabaseError):
        await authenticator.authenticate(bearer(keys.generate()))


async def test_a_key_ends_in_time_even_when_cached(authenticator: Authenticator, store: KeyStore, clock: Any) -> None:
    header = bearer((await store.create("first", ["inference"], expires_at=1769900410)).secret)
    await authenticator.authenticate(header)
    clock.now += 9.9
    assert authenticator.cached(header) is not None
    clock.now += 0.1
    assert authenticator.cached(header) is None
    with pytest.raises(AuthenticationError, match="expired"):
        await authenticator.authenticate(header)


async def test_revoking_works_at_once_here_and_soon_elsewhere(
    authenticator: Authenticator, store: KeyStore, new_store: Callable[[], KeyStore], clock: Any
) -> None:
    elsewhere_store = new_store()
    elsewhere = Authenticator(elsewhere_store, CONFIG, clock=clock)
    new = await store.create("first", ["inference"])
    header = bearer(new.secret)
    for replica in (authenticator, elsewhere):
        await replica.authenticate(header)
    await store.revoke(new.key.id)
    with pytest.raises(AuthenticationError, match="revoked"):
        await authenticator.authenticate(header)
    clock.now += 29.9
    assert elsewhere.cached(header) is not None
    clock.now += 0.1
    with pytest.raises(AuthenticationError, match="revoked"):
        await elsewhere.authenticate(header)
    await elsewhere_store._db.close()


async def test_changes_hold_at_once(authenticator: Authenticator, store: KeyStore) -> None:
    new = await store.create("first", ["inference"])
    header = bearer(new.secret)
    await authenticator.authenticate(header)
    await store.update(new.key.id, scopes=["admin"])
    assert (await authenticator.authenticate(header)).scopes == {"admin"}


async def test_an_extended_key_works_at_once(authenticator: Authenticator, store: KeyStore, clock: Any) -> None:
    new = await store.create("first", ["inference"], expires_at=1769900401)
    clock.now += 1
    with pytest.raises(AuthenticationError, match="expired"):
        await authenticator.authenticate(bearer(new.secret))
    await store.update(new.key.id, expires_at=None)
    assert (await authenticator.authenticate(bearer(new.secret))).id == new.key.id


async def test_the_old_secret_lives_for_its_grace(authenticator: Authenticator, store: KeyStore, clock: Any) -> None:
    first = await store.create("first", ["inference"])
    second = await store.rotate(first.key.id, 10)
    old, new = [await authenticator.authenticate(bearer(one.secret)) for one in (first, second)]
    assert (old.id, old.expires_at) == (new.id, 1769900410.0)
    assert new.expires_at is None
    clock.now += 10
    assert authenticator.cached(bearer(first.secret)) is None
    with pytest.raises(AuthenticationError, match="replaced by a new one"):
        await authenticator.authenticate(bearer(first.secret))
    assert authenticator.cached(bearer(second.secret)) is new


async def test_a_revocation_during_a_look_up_is_not_missed(store: KeyStore, make: Make) -> None:
    new = await store.create("first", ["inference"])
    looked_up, go_on = asyncio.Event(), asyncio.Event()

    async def prepare(principal: Principal) -> None:
        looked_up.set()
        await go_on.wait()

    authenticator = make(prepare=prepare)
    asking = asyncio.create_task(authenticator.authenticate(bearer(new.secret)))
    await looked_up.wait()
    await store.revoke(new.key.id)
    go_on.set()
    with pytest.raises(AuthenticationError, match="revoked"):
        await asking


async def test_one_look_up_serves_all_who_ask_at_once(store: KeyStore, make: Make) -> None:
    new = await store.create("first", ["inference"])
    prepared: list[str] = []

    async def prepare(principal: Principal) -> None:
        prepared.append(principal.id)

    authenticator = make(prepare=prepare)
    found = await asyncio.gather(*(authenticator.authenticate(bearer(new.secret)) for _ in range(50)))
    assert {principal.id for principal in found} == {new.key.id}
    assert prepared == [new.key.id]


async def test_who_leaves_does_not_take_others_along(authenticator: Authenticator, store: KeyStore) -> None:
    new = await store.create("first", ["inference"])
    leaving, staying = (asyncio.create_task(authenticator.authenticate(bearer(new.secret))) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    assert (await staying).id == new.key.id
    assert leaving.cancelled()


async def test_a_failure_that_nobody_waits_for_is_silent(authenticator: Authenticator) -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
    leaving = asyncio.create_task(authenticator.authenticate(bearer(keys.generate())))
    await asyncio.sleep(0)
    leaving.cancel()
    await authenticator.close()
    assert complaints == []


async def test_wrong_keys_do_not_displace_good_ones(make: Make, store: KeyStore) -> None:
    authenticator = make(max_entries=2)
    header = bearer((await store.create("first", ["inference"])).secret)
    await authenticator.authenticate(header)
    for number in range(MAX_REFUSED + 10):
        with pytest.raises(AuthenticationError):
            await authenticator.authenticate(bearer(f"nonsense-{number}"))
    assert authenticator.cached(header) is not None
    assert len(authenticator._refused) == MAX_REFUSED


async def test_the_longest_unused_is_forgotten(make: Make, store: KeyStore) -> None:
    authenticator = make(max_entries=2)
    headers = [bearer((await store.create(str(number), ["inference"])).secret) for number in range(3)]
    await authenticator.authenticate(headers[0])
    await authenticator.authenticate(headers[1])
    assert authenticator.cached(headers[0])
    await authenticator.authenticate(headers[2])
    assert [bool(authenticator.cached(header)) for header in headers] == [True, False, True]
    assert len(authenticator._by_id) == 2


async def test_no_key_is_kept_in_memory(authenticator: Authenticator, store: KeyStore) -> None:
    secret = (await store.create("first", ["inference"])).secret
    await authenticator.authenticate(bearer(secret))
    assert secret not in repr(vars(authenticator))


async def test_use_is_noted(authenticator: Authenticator, store: KeyStore) -> None:
    new = await store.create("first", ["inference"])
    await authenticator.authenticate(bearer(new.secret))
    await store.flush()
    assert (await store.get(new.key.id)).last_used_at == 1769900400


async def test_the_admin_key_may_do_everything(make: Make) -> None:
    admin_key = keys.generate()
    authenticator = make(admin_key=admin_key)
    principal = await authenticator.authenticate(bearer(admin_key))
    assert (principal.kind, principal.models) == ("admin_key", None)
    assert principal.scopes == {"admin", "inference"}
    assert principal.limits == Limits()
    with pytest.raises(AuthenticationError, match="not known"):
        await authenticator.authenticate(bearer(keys.generate()))


@pytest.mark.parametrize("key", ["", "secret", keys.make(1)[:-1], keys.make(1) + "\n"])
async def test_an_unfit_admin_key_is_told_with_the_command_that_makes_one(make: Make, key: str) -> None:
    with pytest.raises(AuthConfigError, match="python -m cowabungaai_api keys generate") as caught:
        make(admin_key=key)
    assert not key or key not in caught.value.message


async def test_a_new_configuration_holds_at_once(authenticator: Authenticator, store: KeyStore) -> None:
    header = bearer((await store.create("first", ["inference"])).secret)
    await authenticator.authenticate(header)
    authenticator.reconfigure(AuthConfig(default_limits=LimitsConfig(requests_per_day=3), cache_seconds=0))
    principal = await authenticator.authenticate(header)
    assert principal.limits == Limits(requests_per_day=3)
    assert authenticator.cached(header) is None


async def test_a_wrong_configuration_changes_nothing(authenticator: Authenticator, store: KeyStore) -> None:
    header = bearer((await store.create("first", ["inference"])).secret)
    await authenticator.authenticate(header)
    issuer = {"issuer": "a", "audience": "b", "algorithms": ["HS256"], "secret_file": "/nowhere/secret"}
    config = AuthConfig.model_validate({"jwt": [issuer], "cache_seconds": 0})
    with pytest.raises(AuthConfigError, match="secret of issuer a: file /nowhere/secret: No such file"):
        authenticator.reconfigure(config)
    assert authenticator.cached(header) is not None
