# SPDX-License-Identifier: Apache-2.0
"""The API keys in the database."""

import re
import secrets
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from enum import Enum
from hmac import compare_digest
from typing import Final, Literal

from sqlalchemy import case, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from cowabungaai_api.auth import keys
from cowabungaai_api.auth.db import Database
from cowabungaai_api.auth.errors import KeyNotFoundError, KeyRevokedError
from cowabungaai_api.auth.principal import LIMIT_NAMES, NO_LIMITS, Limits
from cowabungaai_api.auth.records import ApiKey, Found, NewKey
from cowabungaai_api.auth.tables import KeyRow

MAX_PAGE = 100
TOUCH_S = 60
ID_PATTERN = "^key_[0-9a-f]{30}$"
Order = Literal["asc", "desc"]


_ID = re.compile(ID_PATTERN, re.ASCII)


class _Keep(Enum):
    KEEP = "keep"


KEEP: Final = _Keep.KEEP
"""Of a change: leave it as it is."""
Keep = Literal[_Keep.KEEP]


class KeyStore:
    """The table of keys.

    Args:
        db: the database.
        clock: the time in seconds since 1970.
    """

    def __init__(self, db: Database, clock: Callable[[], float] = time.time) -> None:
        self._db = db
        self._clock = clock
        self._touched: dict[str, int] = {}
        self.on_change: Callable[[str], None] = lambda id: None
        """Called with the id of a key that may be another now."""

    async def create(
        self,
        name: str,
        scopes: Collection[str],
        models: Sequence[str] | None = None,
        limits: Limits = NO_LIMITS,
        expires_at: int | None = None,
    ) -> NewKey:
        """Makes a key.

        Args:
            name: for people.
            scopes: what it allows.
            models: patterns of models that it may use; None for all.
            limits: its own limits.
            expires_at: when it ends; None for never.

        Raises:
            DatabaseError: the database cannot be used.
        """
        secret = keys.generate()
        row = KeyRow(
            id=_new_id(),
            name=name,
            prefix=keys.display(secret),
            secret_hash=keys.digest(secret),
            scopes=sorted(scopes),
            models=None if models is None else [*models],
            created_at=int(self._clock()),
            expires_at=expires_at,
            **{field: getattr(limits, field) for field in LIMIT_NAMES},
        )
        async with self._db.writing() as session:
            session.add(row)
        return NewKey(_key(row), secret)

    async def get(self, id: str) -> ApiKey:
        """Reads one.

        Args:
            id: the key's.

        Raises:
            KeyNotFoundError: there is none.
            DatabaseError: the database cannot be used.
        """
        async with self._db.reading() as session:
            return _key(await _row(session, id))

    async def find(self, secret: str) -> Found | None:
        """Looks a key up by its secret. Whether it is still good is for the caller to say.

        Args:
            secret: the whole key.

        Raises:
            DatabaseError: the database cannot be used.
        """
        digest = keys.digest(secret)
        query = select(KeyRow).where(or_(KeyRow.secret_hash == digest, KeyRow.previous_hash == digest))
        async with self._db.reading() as session:
            row = await session.scalar(query)
        if row is None:
            return None
        if compare_digest(row.secret_hash, digest):
            return Found(_key(row), None)
        if row.previous_hash is not None and compare_digest(row.previous_hash, digest):
            return Found(_key(row), row.previous_until or 0)
        return None

    async def list(
        self, limit: int = 20, order: Order = "desc", after: str | None = None, before: str | None = None
    ) -> tuple[Sequence[ApiKey], bool]:
        """Reads some, in the order in which they were made; also those that are revoked.

        Args:
            limit: how many at most, from 1 to MAX_PAGE.
            order: `desc` begins with the newest.
            after: only those that come after this id.
            before: only those that come before this id; the nearest ones to it, where `after` is not given.

        Returns:
            The keys, and whether there are more in that direction.

        Raises:
            DatabaseError: the database cannot be used.
        """
        ascending = order == "asc"
        # Ids sort by time. Going back from `before`, the nearest come first and are turned round at the end.
        backwards = before is not None and after is None
        query = select(KeyRow).limit(limit + 1)
        query = query.order_by(KeyRow.id.asc() if ascending != backwards else KeyRow.id.desc())
        if after is not None:
            query = query.where(KeyRow.id > after if ascending else KeyRow.id < after)
        if before is not None:
            query = query.where(KeyRow.id < before if ascending else KeyRow.id > before)
        async with self._db.reading() as session:
            found = [_key(row) for row in await session.scalars(query)]
        page = found[:limit]
        return page[::-1] if backwards else page, len(found) > limit

    async def update(
        self,
        id: str,
        name: str | Keep = KEEP,
        scopes: Collection[str] | Keep = KEEP,
        models: Sequence[str] | Keep | None = KEEP,
        limits: Limits | Keep = KEEP,
        expires_at: int | Keep | None = KEEP,
    ) -> ApiKey:
        """Changes a key. What is not given stays.

        Args:
            id: the key's.
            name: as for create.
            scopes: as for create.
            models: as for create.
            limits: as for create; all of them.
            expires_at: as for create.

        Raises:
            KeyNotFoundError: there is none.
            KeyRevokedError: it is revoked.
            DatabaseError: the database cannot be used.
        """
        async with self._changing(id) as session:
            row = await _row(session, id, usable=True)
            if name is not KEEP:
                row.name = name
            if scopes is not KEEP:
                row.scopes = sorted(scopes)
            if models is not KEEP:
                row.models = None if models is None else [*models]
            if expires_at is not KEEP:
                row.expires_at = expires_at
            if limits is not KEEP:
                for field in LIMIT_NAMES:
                    setattr(row, field, getattr(limits, field))
        return _key(row)

    async def revoke(self, id: str) -> ApiKey:
        """Ends a key for good. It stays in the list; revoking it again changes nothing.

        Args:
            id: the key's.

        Raises:
            KeyNotFoundError: there is none.
            DatabaseError: the database cannot be used.
        """
        async with self._changing(id) as session:
            row = await _row(session, id)
            if row.revoked_at is None:
                row.revoked_at = int(self._clock())
        return _key(row)

    async def rotate(self, id: str, grace_s: int = 0) -> NewKey:
        """Gives a key a new secret. A secret from an earlier rotation ends at once.

        Args:
            id: the key's.
            grace_s: how long the present secret stays good, in seconds.

        Raises:
            KeyNotFoundError: there is none.
            KeyRevokedError: it is revoked.
            DatabaseError: the database cannot be used.
        """
        secret = keys.generate()
        async with self._changing(id) as session:
            row = await _row(session, id, usable=True)
            # Also without grace, so that its owner is told what happened to it.
            row.previous_hash, row.previous_until = row.secret_hash, int(self._clock()) + grace_s
            row.secret_hash, row.prefix = keys.digest(secret), keys.display(secret)
        return NewKey(_key(row), secret)

    @asynccontextmanager
    async def _changing(self, id: str) -> AsyncIterator[AsyncSession]:
        try:
            async with self._db.writing() as session:
                yield session
        finally:
            # Also after an error: the change may have reached the database before the connection broke.
            self.on_change(id)

    async def any_admin(self) -> bool:
        """Whether a key that is still good has the scope admin.

        Raises:
            DatabaseError: the database cannot be used.
        """
        now = int(self._clock())
        query = select(KeyRow.scopes).where(
            KeyRow.revoked_at.is_(None), or_(KeyRow.expires_at.is_(None), KeyRow.expires_at > now)
        )
        async with self._db.reading() as session:
            return any("admin" in scopes for scopes in await session.scalars(query))

    def touch(self, key: ApiKey) -> None:
        """Notes that a key was used, for the next flush; at most once a minute.

        Args:
            key: as it was read.
        """
        now = int(self._clock())
        if now - (key.last_used_at or 0) >= TOUCH_S:
            self._touched[key.id] = now

    async def flush(self) -> None:
        """Writes when keys were used.

        Raises:
            DatabaseError: it cannot be written; it is kept for the next time.
        """
        touched, self._touched = self._touched, {}
        try:
            async with self._db.writing() as session:
                for id, moment in sorted(touched.items()):
                    # Another replica may have written a later moment.
                    later = case((KeyRow.last_used_at > moment, KeyRow.last_used_at), else_=moment)
                    await session.execute(update(KeyRow).where(KeyRow.id == id).values(last_used_at=later))
        except BaseException:
            self._touched = touched | self._touched
            raise


def _new_id() -> str:
    """An id that sorts by time, in digits whose order is the same in every collation."""
    return f"key_{time.time_ns() // 1000:014x}{secrets.token_hex(8)}"


async def _row(session: AsyncSession, id: str, usable: bool = False) -> KeyRow:
    row = await session.get(KeyRow, id, with_for_update=usable) if _ID.fullmatch(id) else None
    if row is None:
        raise KeyNotFoundError(f"There is no API key with the id '{id}'.")
    if usable and row.revoked_at is not None:
        raise KeyRevokedError(f"The API key '{id}' is revoked, which is for good; make a new one.")
    return row


def _key(row: KeyRow) -> ApiKey:
    return ApiKey(
        id=row.id,
        name=row.name,
        prefix=row.prefix,
        scopes=frozenset(row.scopes),
        models=None if row.models is None else tuple(row.models),
        limits=row.limits,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
        previous_until=row.previous_until,
    )
