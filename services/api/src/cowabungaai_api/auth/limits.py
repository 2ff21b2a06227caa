# SPDX-License-Identifier: Apache-2.0
"""Rate limits and quotas of callers, without a wait on the way of a request.

Limits per minute hold for each replica of the gateway. Those per day and month hold for all of them together: each
replica adds what it counted to the database every few seconds, and learns then what the others counted.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable

from cowabungaai_api.auth.account import Account, Counts
from cowabungaai_api.auth.periods import Periods
from cowabungaai_api.auth.principal import Principal
from cowabungaai_api.auth.usage import Day, UsageTable

MAX_ACCOUNTS = 100_000
LOOKED_AT = 64
"""How many of the longest idle are looked at for one that may be forgotten."""


class Grant:
    """The permission for one request. Settle it, whatever becomes of the request."""

    __slots__ = ("_account", "_charged", "_limiter", "_open")

    def __init__(self, limiter: "RateLimiter", account: Account, estimated_tokens: int) -> None:
        self._limiter = limiter
        self._account = account
        self._charged = estimated_tokens
        self._open = True

    def settle(self, tokens: int) -> None:
        """Replaces the estimate by what was used. Another call corrects the one before.

        Args:
            tokens: of the prompt and the answer; 0 where the request came to nothing.
        """
        account = self._account
        if account.tokens is not None:
            account.tokens.take(tokens - self._charged)
        if self._open:
            self._open = False
            account.in_flight -= 1
            account.reserved -= self._charged
            account.new.tokens += tokens
        else:
            account.new.tokens += tokens - self._charged
        self._charged = tokens
        self._limiter.dirty[account.id] = account

    def headers(self) -> list[tuple[bytes, bytes]]:
        """OpenAI's `x-ratelimit-*` headers, of the limits that there are."""
        account = self._account
        if account.requests is None and account.tokens is None:
            return []
        return account.headers(self._limiter.clock())


class RateLimiter:
    """Lets callers ask for as much as their limits allow. Use it in one event loop.

    Args:
        table: where usage is kept.
        clock: the time in nanoseconds, of a clock that never goes back.
        wall: the time in seconds since 1970.
        max_accounts: how many callers are remembered; the longest idle are forgotten first, those with requests in
            flight never.
    """

    def __init__(
        self,
        table: UsageTable,
        clock: Callable[[], int] = time.monotonic_ns,
        wall: Callable[[], float] = time.time,
        max_accounts: int = MAX_ACCOUNTS,
    ) -> None:
        self.clock = clock
        self.dirty: dict[str, Account] = {}
        """Accounts with something new."""
        self._table = table
        self._wall = wall
        self._max = max_accounts
        self._accounts: OrderedDict[str, Account] = OrderedDict()
        self._periods = Periods.at(wall())
        self._unwritten: dict[Day, Counts] = {}
        self._flushing = asyncio.Lock()

    def acquire(self, principal: Principal, estimated_tokens: int = 0) -> Grant:
        """Counts a request, unless it is too much.

        Args:
            principal: the caller.
            estimated_tokens: what the request may use at most, of the prompt and the answer.

        Raises:
            RateLimitedError: too much for a minute.
            QuotaExceededError: too much for the day or the month.
        """
        now, wall = self.clock(), self._wall()
        if wall >= self._periods.day_ends:
            self._begin_day(wall)
        account = self._account(principal, now)
        account.check_rates(estimated_tokens, now)
        if account.has_quotas:
            account.check_quotas(estimated_tokens, self._periods, wall)
        if account.requests is not None:
            account.requests.take(1)
        if account.tokens is not None:
            account.tokens.take(estimated_tokens)
        account.in_flight += 1
        account.reserved += estimated_tokens
        account.new.requests += 1
        self.dirty[account.id] = account
        return Grant(self, account, estimated_tokens)

    async def prepare(self, principal: Principal) -> None:
        """Reads what a caller used before, so that quotas hold from its first request on.

        Args:
            principal: the caller.

        Raises:
            DatabaseError: it cannot be read.
        """
        account = self._account(principal, self.clock())
        if not account.loaded:
            await self._load([account])

    def usage(self, principal: Principal) -> tuple[Counts, Counts]:
        """What a caller used today and this month, in all replicas as far as is known.

        Args:
            principal: the caller.
        """
        wall = self._wall()
        if wall >= self._periods.day_ends:
            self._begin_day(wall)
        account = self._account(principal, self.clock())
        day, month = Counts(), Counts()
        for total, counts in ((day, account.day), (month, account.month)):
            total.add(counts)
            total.add(account.new)
        return day, month

    async def flush(self) -> None:
        """Adds what was counted to the database, and learns what other replicas counted.

        Raises:
            DatabaseError: it cannot be used; what was counted is kept for the next time.
        """
        async with self._flushing:
            wall = self._wall()
            if wall >= self._periods.day_ends:
                self._begin_day(wall)
            self._collect()
            await self._write()
            if unloaded := [account for account in self._accounts.values() if not account.loaded]:
                await self._load(unloaded)

    async def _write(self) -> None:
        rows, self._unwritten = self._unwritten, {}
        try:
            totals = await self._table.add(rows)
        except BaseException:
            for key, counts in rows.items():
                self._unwritten.setdefault(key, Counts()).add(counts)
            raise
        for id, day in rows:
            # Nothing but a new day moves counts into `day` and `month` while this waits.
            if day == self._periods.day and (account := self._accounts.get(id)):
                account.day, account.month = totals[id, day], totals[id, self._periods.month]
                account.loaded = True

    async def _load(self, accounts: list[Account]) -> None:
        periods = self._periods
        totals = await self._table.read([account.id for account in accounts], (periods.day, periods.month))
        if periods is not self._periods:
            # The answer is about a day that is over; the next flush asks again.
            return
        for account in accounts:
            account.day = totals.get((account.id, periods.day), Counts())
            account.month = totals.get((account.id, periods.month), Counts())
            account.loaded = True
        waiting = {account.id: account for account in accounts}
        for (id, day), counts in self._unwritten.items():
            if id in waiting and day.startswith(periods.month):
                waiting[id].month.add(counts)
                if day == periods.day:
                    waiting[id].day.add(counts)

    def _collect(self) -> None:
        for account in self.dirty.values():
            self._unwritten.setdefault((account.id, self._periods.day), Counts()).add(account.collect())
        self.dirty = {}

    def _begin_day(self, wall: float) -> None:
        self._collect()
        before, self._periods = self._periods, Periods.at(wall)
        for account in self._accounts.values():
            account.day = Counts()
            if self._periods.month != before.month:
                account.month = Counts()

    def _account(self, principal: Principal, now: int) -> Account:
        account = self._accounts.get(principal.id)
        if account is None:
            account = Account(principal.id, principal.limits, now)
            self._make_room()
            self._accounts[principal.id] = account
            return account
        self._accounts.move_to_end(principal.id)
        if account.limits is not principal.limits:
            account.set_limits(principal.limits, now)
        return account

    def _make_room(self) -> None:
        """Forgets callers who asked least recently, where there are too many."""
        excess = len(self._accounts) - self._max + 1
        if excess <= 0:
            return
        oldest = [account for account, _ in zip(self._accounts.values(), range(LOOKED_AT + excess), strict=False)]
        for account in [account for account in oldest if not account.in_flight][:excess]:
            if account.id in self.dirty:
                del self.dirty[account.id]
                self._unwritten.setdefault((account.id, self._periods.day), Counts()).add(account.collect())
            del self._accounts[account.id]
