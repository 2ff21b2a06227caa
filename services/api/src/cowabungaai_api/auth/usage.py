# SPDX-License-Identifier: Apache-2.0
"""What callers used, in the database."""

from collections.abc import Collection, Mapping
from typing import cast

from sqlalchemy import Table, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from cowabungaai_api.auth.account import Counts
from cowabungaai_api.auth.db import Database
from cowabungaai_api.auth.tables import UsageRow

Day = tuple[str, str]
"""A principal's id, and a day."""
BATCH = 500
"""Ids in one query; SQLite allows 32766 parameters, PostgreSQL 32767."""


class UsageTable:
    """The table of usage.

    Args:
        db: the database.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        table = cast(Table, UsageRow.__table__)
        new = (sqlite.insert if db.is_sqlite else postgresql.insert)(table)
        columns = table.columns
        self._addition = new.on_conflict_do_update(
            index_elements=[columns.principal_id, columns.period],
            set_={
                "requests": columns.requests + new.excluded.requests,
                "tokens": columns.tokens + new.excluded.tokens,
            },
        ).returning(columns.principal_id, columns.period, columns.requests, columns.tokens)

    async def add(self, counts: Mapping[Day, Counts]) -> dict[tuple[str, str], Counts]:
        """Adds to days and to their months, also while other replicas do.

        Args:
            counts: what to add to each day of each principal.

        Returns:
            The totals after that, by principal and day, and by principal and month.

        Raises:
            DatabaseError: it cannot be written; nothing was added.
        """
        sums: dict[tuple[str, str], Counts] = {}
        for (id, day), count in counts.items():
            for period in (day, day[:7]):
                sums.setdefault((id, period), Counts()).add(count)
        # In the same order everywhere, or replicas would wait for each other in a circle.
        rows = [
            {"principal_id": id, "period": period, "requests": count.requests, "tokens": count.tokens}
            for (id, period), count in sorted(sums.items(), key=lambda item: item[0])
        ]
        totals: dict[tuple[str, str], Counts] = {}
        if not rows:
            return totals
        async with self._db.writing() as session:
            # SQLAlchemy sends them in batches, and compiles the statement once.
            for id, period, requests, tokens in await session.execute(self._addition, rows):
                totals[id, period] = Counts(requests, tokens)
        return totals

    async def read(self, ids: Collection[str], periods: Collection[str]) -> dict[tuple[str, str], Counts]:
        """Reads totals; those that there are not are left out.

        Args:
            ids: the principals.
            periods: days and months.

        Raises:
            DatabaseError: it cannot be read.
        """
        totals: dict[tuple[str, str], Counts] = {}
        wanted = [*ids]
        async with self._db.reading() as session:
            for start in range(0, len(wanted), BATCH):
                statement = select(UsageRow).where(
                    UsageRow.principal_id.in_(wanted[start : start + BATCH]), UsageRow.period.in_(periods)
                )
                for row in await session.scalars(statement):
                    totals[row.principal_id, row.period] = Counts(row.requests, row.tokens)
        return totals

    async def forget_before(self, day: str) -> None:
        """Deletes what is older than a day.

        Args:
            day: the first one to keep; its month is kept too.

        Raises:
            DatabaseError: it cannot be written.
        """
        async with self._db.writing() as session:
            await session.execute(delete(UsageRow).where(UsageRow.period < day[:7]))
