# SPDX-License-Identifier: Apache-2.0
"""The whole of it, opened and closed as the gateway does."""

import asyncio
import logging

import pytest
from sqlalchemy import text

from cowabungaai_api.auth import keys, schema
from cowabungaai_api.auth.account import Counts
from cowabungaai_api.auth.config import AuthConfig, LimitsConfig
from cowabungaai_api.auth.db import Database
from cowabungaai_api.auth.errors import AuthenticationError, DatabaseError, QuotaExceededError, RateLimitedError
from cowabungaai_api.auth.principal import Limits, Principal
from cowabungaai_api.auth.service import Auth, how_to_make_admin_key
from cowabungaai_api.errors import from_auth

pytestmark = pytest.mark.anyio
WHO = Principal("key_1", "first", "api_key", frozenset())


async def test_the_first_start_makes_tables_and_knows_no_admin(database_url: str) -> None:
    auth = Auth(database_url, AuthConfig())
    assert not await auth.open()
    assert await schema.current(auth.db) == schema.HEAD
    await auth.store.create("first", ["admin"])
    assert await auth.has_admin()
    await auth.close()
    again = Auth(database_url, AuthConfig())
    assert await again.open()
    await again.close()


async def test_an_admin_key_is_an_admin(sqlite_url: str) -> None:
    auth = Auth(sqlite_url, AuthConfig(), keys.generate())
    assert await auth.open()
    await auth.close()


def test_the_way_to_an_admin_key_is_told() -> None:
    told = how_to_make_admin_key()
    assert "python -m cowabungaai_api keys create --admin --name NAME" in told
    assert "python -m cowabungaai_api keys generate" in told


async def test_quotas_hold_over_restarts_and_replicas(database_url: str) -> None:
    config = AuthConfig(default_limits=LimitsConfig(tokens_per_day=10))
    first = Auth(database_url, config)
    await first.open()
    new = await first.store.create("first", ["inference"])
    header = f"Bearer {new.secret}".encode()
    first.limiter.acquire(await first.authenticator.authenticate(header), 8).settle(8)
    await first.close()
    second = Auth(database_url, config)
    await second.open()
    principal = await second.authenticator.authenticate(header)
    with pytest.raises(QuotaExceededError):
        second.limiter.acquire(principal, 3)
    await second.close()


async def test_usage_is_written_by_itself(sqlite_url: str) -> None:
    auth = Auth(sqlite_url, AuthConfig(), flush_s=0.02)
    await auth.open()
    auth.limiter.acquire(WHO).settle(5)
    async with asyncio.timeout(5):
        while not auth.limiter._accounts[WHO.id].loaded:  # noqa: ASYNC110 - the task that writes tells nobody
            await asyncio.sleep(0.01)
    other = Database(sqlite_url)
    async with other.reading() as session:
        assert await session.scalar(text("SELECT sum(tokens) FROM usage WHERE length(period) = 10")) == 5
    await other.close()
    await auth.close()


async def test_revoking_in_the_store_is_known_to_the_authenticator(sqlite_url: str) -> None:
    auth = Auth(sqlite_url, AuthConfig())
    await auth.open()
    new = await auth.store.create("first", ["inference"])
    header = f"Bearer {new.secret}".encode()
    await auth.authenticator.authenticate(header)
    await auth.store.revoke(new.key.id)
    assert auth.authenticator.cached(header) is None
    with pytest.raises(AuthenticationError):
        await auth.authenticator.authenticate(header)
    await auth.close()


async def test_a_new_configuration_holds(sqlite_url: str) -> None:
    auth = Auth(sqlite_url, AuthConfig())
    await auth.open()
    header = f"Bearer {(await auth.store.create('first', ['inference'])).secret}".encode()
    assert (await auth.authenticator.authenticate(header)).limits == Limits()
    auth.reconfigure(AuthConfig(default_limits=LimitsConfig(requests_per_minute=1)))
    assert (await auth.authenticator.authenticate(header)).limits == Limits(1)
    await auth.close()


async def test_a_failing_database_is_logged_once(database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    auth = Auth(database_url, AuthConfig())
    await auth.open()
    await schema.downgrade(auth.db, "base")
    auth.limiter.acquire(WHO).settle(5)
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            await auth.flush()
        await schema.upgrade(auth.db)
        await auth.flush()
    ours = [record.message for record in caplog.records if record.name == "cowabungaai.api.auth"]
    assert ours == ["cannot write usage; it is kept in memory", "usage is written again"]
    assert auth.limiter.usage(WHO)[0] == Counts(1, 5)
    await auth.close()


async def test_a_database_that_does_not_answer_is_told(sqlite_url: str) -> None:
    auth = Auth(sqlite_url, AuthConfig(), keys.generate())
    await auth.open()
    await auth.check()
    await auth.close()
    away = Auth("postgresql://u@127.0.0.1:1/d", AuthConfig(), keys.generate())
    with pytest.raises(DatabaseError, match="Connect call failed"):
        await away.check()


async def test_closing_what_was_never_opened_is_fine(sqlite_url: str) -> None:
    await Auth(sqlite_url, AuthConfig()).close()


def test_errors_have_the_headers_that_clients_read() -> None:
    limited = from_auth(RateLimitedError("slow down", "requests", 0.5, ((b"x-ratelimit-limit-requests", b"3"),)))
    assert limited.status_code == 429
    assert limited.headers == {"retry-after": "1", "retry-after-ms": "500", "x-ratelimit-limit-requests": "3"}
    quota = from_auth(QuotaExceededError("enough", "tokens_per_day", 3600))
    assert quota.headers == {"retry-after": "3600", "retry-after-ms": "3600000", "x-should-retry": "false"}
    assert from_auth(RateLimitedError("too large", "tokens", None)).headers is None
    assert from_auth(AuthenticationError("who?")).headers == {"www-authenticate": "Bearer"}
