# SPDX-License-Identifier: Apache-2.0
"""Finds out who asks, from the Authorization header; for a known caller in a few microseconds."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest

from cowabungaai_api.auth import keys
from cowabungaai_api.auth.config import AuthConfig, JwtIssuer
from cowabungaai_api.auth.errors import AuthConfigError, AuthenticationError
from cowabungaai_api.auth.jwt import JwtVerifier, unverified
from cowabungaai_api.auth.principal import SCOPES, Limits, Principal
from cowabungaai_api.auth.records import ApiKey
from cowabungaai_api.auth.store import KeyStore
from cowabungaai_api.program import PROGRAM

MAX_ENTRIES = 10_000
MAX_REFUSED = 1_000
REFUSED_S = 5.0
"""How long a wrong key is remembered, in seconds."""
GENERATE = f"{PROGRAM} keys generate"


@dataclass(frozen=True, slots=True)
class _Known:
    """Whose header it is."""

    principal: Principal
    until: float


@dataclass(frozen=True, slots=True)
class _Refused:
    """Why a header was refused."""

    message: str
    until: float


@dataclass(frozen=True, slots=True)
class _Rules:
    """What reconfigure replaces, all of it at once."""

    verifiers: dict[str, JwtVerifier]
    default_limits: Limits
    cache_seconds: float


class Authenticator:
    """Knows callers by their headers. Use it in one event loop.

    Args:
        store: the API keys.
        config: issuers of tokens, default limits, and how long a caller is believed.
        admin_key: a key that may do everything and is not in the database.
        prepare: what is to be done before a caller is known for the first time.
        clock: the time in seconds since 1970.
        max_entries: how many headers are remembered; the longest unused is forgotten first.

    Raises:
        AuthConfigError: the admin key or an issuer's secret is unfit.
    """

    def __init__(
        self,
        store: KeyStore,
        config: AuthConfig,
        admin_key: str | None = None,
        prepare: Callable[[Principal], Awaitable[None]] | None = None,
        clock: Callable[[], float] = time.time,
        max_entries: int = MAX_ENTRIES,
    ) -> None:
        self._store = store
        self._prepare = prepare
        self._clock = clock
        self._max = max_entries
        self._admin_digest = _admin_digest(admin_key) if admin_key is not None else None
        # By a hash, so that no key lies in memory for longer than its request.
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        # Apart from the others, so that nobody displaces good callers with keys that do not exist.
        self._refused: OrderedDict[bytes, _Refused] = OrderedDict()
        self._by_id: dict[str, set[bytes]] = {}
        self._pending: dict[bytes, asyncio.Task[Principal]] = {}
        self._generation = 0
        self._rules = _make_rules(config, {})

    @property
    def has_admin_key(self) -> bool:
        """Whether there is a key that is not in the database."""
        return self._admin_digest is not None

    def cached(self, authorization: bytes) -> Principal | None:
        """The caller, where the header was seen a moment ago; else `authenticate` says who it is.

        Args:
            authorization: the header's value.
        """
        digest = sha256(authorization).digest()
        known = self._known.get(digest)
        if known is None or self._clock() >= known.until:
            return None
        self._known.move_to_end(digest)
        return known.principal

    async def authenticate(self, authorization: bytes | None) -> Principal:
        """Finds out who asks.

        Args:
            authorization: the header's value; None where there is none.

        Raises:
            AuthenticationError: they have no good key or token.
            IssuerUnavailableError: the keys of a token's issuer cannot be had.
            DatabaseError: the database cannot be used.
        """
        if not authorization:
            raise AuthenticationError(
                "You did not send an API key. Send it in the header 'Authorization: Bearer YOUR_KEY'."
            )
        if (principal := self.cached(authorization)) is not None:
            return principal
        digest = sha256(authorization).digest()
        refused = self._refused.get(digest)
        if refused is not None and self._clock() < refused.until:
            raise AuthenticationError(refused.message)
        # Many requests with the same header may come at once; one look-up serves them all.
        task = self._pending.get(digest)
        if task is None:
            task = self._pending[digest] = asyncio.create_task(self._look_up(digest, authorization))
            task.add_done_callback(lambda done: self._looked_up(digest, done))
        return await asyncio.shield(task)

    def invalidate(self, id: str) -> None:
        """Forgets a caller, after their key was changed or revoked.

        Args:
            id: the principal's.
        """
        self._generation += 1
        self._refused.clear()
        for digest in self._by_id.pop(id, ()):
            self._known.pop(digest, None)

    def reconfigure(self, config: AuthConfig) -> None:
        """Takes a new configuration; all of it, or none where it is wrong.

        Args:
            config: the new one.

        Raises:
            AuthConfigError: an issuer's secret is unfit.
        """
        self._rules = _make_rules(config, self._rules.verifiers)
        self._generation += 1
        self._refused.clear()
        self._known.clear()
        self._by_id.clear()

    async def close(self) -> None:
        """Waits for what goes on in the background."""
        await asyncio.gather(*self._pending.values(), return_exceptions=True)
        for verifier in self._rules.verifiers.values():
            await verifier.close()

    async def _look_up(self, digest: bytes, authorization: bytes) -> Principal:
        while True:
            generation, rules = self._generation, self._rules
            try:
                principal = await self._identify(authorization, rules)
                if self._prepare is not None:
                    await self._prepare(principal)
            except AuthenticationError as error:
                if generation == self._generation:
                    self._remember_refused(digest, error, min(REFUSED_S, rules.cache_seconds))
                    raise
            else:
                # Where something was changed meanwhile, what was read may be what was before.
                if generation == self._generation:
                    self._remember(digest, principal, rules.cache_seconds)
                    return principal

    def _looked_up(self, digest: bytes, task: asyncio.Task[Principal]) -> None:
        del self._pending[digest]
        if not task.cancelled():
            # Else asyncio complains of an error that nobody waited for, where all clients have left.
            task.exception()

    async def _identify(self, authorization: bytes, rules: _Rules) -> Principal:
        credential = _bearer(authorization)
        if credential.startswith(keys.PREFIX):
            return await self._key_holder(credential, rules.default_limits)
        if credential.count(".") == 2 and rules.verifiers:
            header, issuer = unverified(credential)
            verifier = rules.verifiers.get(issuer or "")
            if verifier is None:
                raise AuthenticationError("The token's issuer is not one of those that are accepted here.")
            return await verifier.verify(credential, header, rules.default_limits)
        expected = f"one that begins with '{keys.PREFIX}'" + (", or a JSON Web Token" if rules.verifiers else "")
        raise AuthenticationError(f"The API key has an unknown form; expected {expected}.")

    async def _key_holder(self, key: str, defaults: Limits) -> Principal:
        if not keys.is_well_formed(key):
            raise AuthenticationError("The API key is malformed: its length or checksum is wrong. Was it copied whole?")
        if self._admin_digest is not None and compare_digest(self._admin_digest, keys.digest(key)):
            return Principal("admin_key", "admin key", "admin_key", frozenset(SCOPES))
        found = await self._store.find(key)
        now = self._clock()
        if found is None:
            raise AuthenticationError("The API key is not known here.")
        if found.key.revoked_at is not None:
            raise AuthenticationError("The API key was revoked.")
        if found.key.expires_at is not None and found.key.expires_at <= now:
            raise AuthenticationError("The API key has expired.")
        if found.good_until is not None and found.good_until <= now:
            raise AuthenticationError("The API key was replaced by a new one.")
        self._store.touch(found.key)
        return _principal(found.key, found.good_until, defaults)

    def _remember(self, digest: bytes, principal: Principal, seconds: float) -> None:
        until = self._clock() + seconds
        if principal.expires_at is not None:
            until = min(until, principal.expires_at)
        self._known[digest] = _Known(principal, until)
        self._known.move_to_end(digest)
        self._by_id.setdefault(principal.id, set()).add(digest)
        if len(self._known) > self._max:
            oldest, known = self._known.popitem(last=False)
            digests = self._by_id[known.principal.id]
            digests.discard(oldest)
            if not digests:
                del self._by_id[known.principal.id]

    def _remember_refused(self, digest: bytes, error: AuthenticationError, seconds: float) -> None:
        self._refused[digest] = _Refused(error.message, self._clock() + seconds)
        if len(self._refused) > MAX_REFUSED:
            self._refused.popitem(last=False)


def _bearer(authorization: bytes) -> str:
    scheme, _, credential = authorization.partition(b" ")
    if scheme.lower() != b"bearer" or not credential.strip():
        raise AuthenticationError("The Authorization header is malformed; expected 'Authorization: Bearer YOUR_KEY'.")
    try:
        return credential.strip().decode("ascii")
    except UnicodeDecodeError as error:
        raise AuthenticationError("The API key holds characters that no key has; expected ASCII.") from error


def _principal(key: ApiKey, good_until: int | None, defaults: Limits) -> Principal:
    ends = [moment for moment in (key.expires_at, good_until) if moment is not None]
    return Principal(
        id=key.id,
        name=key.name,
        kind="api_key",
        scopes=key.scopes,
        models=key.models,
        limits=key.limits.or_else(defaults),
        expires_at=float(min(ends)) if ends else None,
    )


def _admin_digest(key: str) -> bytes:
    if not keys.is_well_formed(key):
        raise AuthConfigError(
            f"the admin key has the wrong form (it has {len(key)} characters): expected one of {keys.LENGTH} "
            f"that begins with {keys.PREFIX!r}; make one with: {GENERATE}"
        )
    return keys.digest(key)


def _make_rules(config: AuthConfig, known: dict[str, JwtVerifier]) -> _Rules:
    """Makes the rules; a verifier whose issuer did not change stays, and with it the keys that it has read."""

    def verifier(issuer: JwtIssuer) -> JwtVerifier:
        old = known.get(issuer.issuer)
        return old if old is not None and old.config == issuer and not issuer.has_secret else JwtVerifier(issuer)

    verifiers = {issuer.issuer: verifier(issuer) for issuer in config.jwt}
    return _Rules(verifiers, config.default_limits.limits(), config.cache_seconds)
