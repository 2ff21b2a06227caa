# SPDX-License-Identifier: Apache-2.0
"""The public keys of an issuer of tokens: read from a URL or a file, kept, and read again when one is unknown."""

import asyncio
import http.client
import json
import logging
import ssl
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol
from urllib.error import HTTPError

from jwt import PyJWK
from jwt.exceptions import PyJWTError

from cowabungaai_api.auth.config import JwtIssuer
from cowabungaai_api.auth.errors import AuthenticationError, IssuerUnavailableError

MAX_BYTES = 1024 * 1024
CHUNK = 64 * 1024
GRACE_S = 1.0
"""How much longer than its own timeouts a read may take, in seconds; they are about each step of it."""
STALE_S = 24 * 3600.0
"""How long keys are used when the issuer does not answer, in seconds."""
Jwk = Mapping[str, Any]

log = logging.getLogger("cowabungaai.api.auth")


class Jwks:
    """The keys of one issuer. Use it in one event loop.

    Args:
        config: the issuer; with jwks_url or jwks_file.
    """

    def __init__(self, config: JwtIssuer) -> None:
        self._config = config
        self._keys: list[Jwk] = []
        self._made: dict[tuple[str | None, str], PyJWK] = {}
        self._read_at = -STALE_S
        self._tried_at: float | None = None
        self._reading: asyncio.Task[list[Jwk]] | None = None
        self._lock = asyncio.Lock()
        self._refreshing: asyncio.Task[None] | None = None

    async def key(self, kid: str | None, algorithm: str) -> PyJWK:
        """The key that a token was signed with.

        Args:
            kid: the key's id in the token's header; without it the issuer must have just one key for the algorithm.
            algorithm: the token's.

        Raises:
            AuthenticationError: the issuer has no such key.
            IssuerUnavailableError: its keys cannot be had.
        """
        found = self._find(kid, algorithm)
        age = time.monotonic() - self._read_at
        if found is not None and age < STALE_S:
            if age >= self._config.jwks_refresh_s:
                self._refresh_in_background()
            return found
        await self._refresh()
        if time.monotonic() - self._read_at >= STALE_S:
            raise IssuerUnavailableError("The keys of the token's issuer cannot be had at the moment; try again later.")
        found = self._find(kid, algorithm)
        if found is None:
            raise AuthenticationError("The token's issuer has no key that it could be signed with.")
        return found

    def _find(self, kid: str | None, algorithm: str) -> PyJWK | None:
        if found := self._made.get((kid, algorithm)):
            return found
        made = []
        for jwk in self._keys:
            if (kid is None or jwk.get("kid") == kid) and _is_for(jwk, algorithm):
                try:
                    made.append(PyJWK(dict(jwk), algorithm))
                except PyJWTError:
                    # A key of another type than the algorithm's.
                    continue
        if len(made) != 1:
            return None
        self._made[kid, algorithm] = made[0]
        return made[0]

    def _refresh_in_background(self) -> None:
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._refresh())

    async def _refresh(self) -> None:
        """Reads the keys, unless that was tried a moment ago; on failure those from before stay."""
        async with self._lock:
            now = time.monotonic()
            if self._tried_at is not None and now - self._tried_at < self._config.jwks_min_interval_s:
                return
            try:
                self._keys = await self._bounded_read()
            except (OSError, ValueError, http.client.HTTPException) as error:
                fields = {"issuer": self._config.issuer, "source": self._source, "error": str(error)}
                log.warning("cannot read the keys of an issuer", extra={"fields": fields})
                return
            finally:
                self._tried_at = time.monotonic()
            self._made = {}
            self._read_at = time.monotonic()

    async def _bounded_read(self) -> list[Jwk]:
        """Reads in a thread, since names are looked up there as well; a thread that hangs is not joined by another."""
        if self._reading is None:
            self._reading = asyncio.create_task(asyncio.to_thread(self._read))
        await asyncio.wait({self._reading}, timeout=self._config.jwks_timeout_s + GRACE_S)
        if not self._reading.done():
            raise TimeoutError("did not come in time")
        reading, self._reading = self._reading, None
        return reading.result()

    @property
    def _source(self) -> str:
        return self._config.jwks_url or str(self._config.jwks_file)

    def _read(self) -> list[Jwk]:
        if self._config.jwks_file is not None:
            with Path(self._config.jwks_file).open("rb") as file:
                return _parse(_read_bounded(file, None))
        deadline = time.monotonic() + self._config.jwks_timeout_s
        # The machine's authorities, or those that SSL_CERT_FILE names.
        https = urllib.request.HTTPSHandler(context=ssl.create_default_context())
        opener = urllib.request.build_opener(https, _NoRedirects)
        try:
            with opener.open(self._source, timeout=self._config.jwks_timeout_s) as answer:
                return _parse(_read_bounded(answer, deadline))
        except HTTPError as error:
            error.close()
            raise

    async def close(self) -> None:
        """Waits for a refresh that goes on."""
        running = [task for task in (self._refreshing, self._reading) if task is not None]
        await asyncio.gather(*running, return_exceptions=True)


class Reader(Protocol):
    """Files and answers of HTTP servers."""

    def read1(self, size: int, /) -> bytes:
        """Reads what is there, at most so many bytes; empty at the end."""
        ...


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Keys come from where the configuration says, and from nowhere else."""

    def redirect_request(self, *_: object) -> None:
        return None


def _read_bounded(source: Reader, deadline: float | None) -> bytes:
    data = b""
    while chunk := source.read1(CHUNK):
        data += chunk
        if len(data) > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES} bytes")
        # A socket's timeout is about each read, and a server may send slowly for ever.
        if deadline is not None and time.monotonic() > deadline:
            raise TimeoutError("did not come in time")
    return data


def _parse(data: bytes) -> list[Jwk]:
    content = json.loads(data)
    keys = content.get("keys") if isinstance(content, dict) else None
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        raise ValueError("no JSON Web Key Set: expected an object with a list 'keys' (RFC 7517)")
    return keys


def _is_for(jwk: Jwk, algorithm: str) -> bool:
    """Whether its issuer published a key for signatures of an algorithm (RFC 7517, section 4)."""
    if jwk.get("use", "sig") != "sig" or jwk.get("alg", algorithm) != algorithm:
        return False
    operations = jwk.get("key_ops", ["verify"])
    return isinstance(operations, list) and "verify" in operations
