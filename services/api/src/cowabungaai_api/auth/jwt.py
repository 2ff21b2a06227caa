# SPDX-License-Identifier: Apache-2.0
"""Checks JSON Web Tokens (RFC 7519) as RFC 8725 advises: the issuer's configuration says which algorithms and keys
count, and never the token itself."""

import os
from pathlib import Path
from typing import Any

import jwt
from jwt import PyJWK
from jwt.exceptions import (
    ExpiredSignatureError,
    ImmatureSignatureError,
    InvalidAudienceError,
    MissingRequiredClaimError,
    PyJWTError,
)

from cowabungaai_api.auth.claims import principal_of
from cowabungaai_api.auth.config import JwtIssuer
from cowabungaai_api.auth.errors import AuthConfigError, AuthenticationError
from cowabungaai_api.auth.jwks import Jwks
from cowabungaai_api.auth.principal import Limits, Principal

MAX_TOKEN = 16 * 1024
"""Characters of a token; servers take headers of about this size at most."""
REQUIRED = ["exp", "iss", "aud"]


class JwtVerifier:
    """Checks the tokens of one issuer.

    Args:
        config: the issuer.

    Raises:
        AuthConfigError: its secret cannot be had, or is too short.
    """

    def __init__(self, config: JwtIssuer) -> None:
        self.config = config
        self._secret = _secret(config) if config.has_secret else None
        self._jwks = None if config.has_secret else Jwks(config)

    async def verify(self, token: str, header: dict[str, Any], defaults: Limits) -> Principal:
        """Checks a token.

        Args:
            token: the token.
            header: its header, which nobody has checked.
            defaults: limits where neither the token nor the issuer has any.

        Raises:
            AuthenticationError: it is not good.
            IssuerUnavailableError: the issuer's keys cannot be had.
        """
        config = self.config
        algorithm = header.get("alg")
        if algorithm not in config.algorithms:
            raise AuthenticationError(
                f"The token's algorithm is not accepted; expected {', '.join(config.algorithms)}."
            )
        key: PyJWK | bytes
        if self._jwks is not None:
            key = await self._jwks.key(header.get("kid"), algorithm)
        else:
            key = self._secret or b""
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=config.audience,
                issuer=config.issuer,
                leeway=config.leeway_s,
                options={"require": REQUIRED, "enforce_minimum_key_length": True},
            )
        except (PyJWTError, OverflowError) as error:
            raise AuthenticationError(_worded(error)) from error
        return principal_of(claims, config, defaults)

    async def close(self) -> None:
        """Waits for what goes on in the background."""
        if self._jwks is not None:
            await self._jwks.close()


def unverified(token: str) -> tuple[dict[str, Any], str | None]:
    """Reads a token's header and issuer, to find out who could check it.

    Args:
        token: what a client sent.

    Raises:
        AuthenticationError: it is no JWT.
    """
    if len(token) > MAX_TOKEN:
        raise AuthenticationError(f"The token is too long: more than {MAX_TOKEN} characters.")
    try:
        parts = jwt.decode_complete(token, options={"verify_signature": False})
    except (PyJWTError, RecursionError) as error:
        raise AuthenticationError("The token is malformed: expected a signed JSON Web Token.") from error
    issuer = parts["payload"].get("iss")
    return parts["header"], issuer if isinstance(issuer, str) else None


def _worded(error: Exception) -> str:
    match error:
        case ExpiredSignatureError():
            return "The token has expired; get a new one from its issuer."
        case ImmatureSignatureError():
            return "The token is not valid yet."
        case InvalidAudienceError():
            return "The token is meant for another audience."
        case MissingRequiredClaimError():
            return f"The token lacks the claim '{error.claim}'."
        case _:
            return "The token is not valid: its signature or a claim is wrong."


def _secret(config: JwtIssuer) -> bytes:
    where = f"environment variable {config.secret_env}" if config.secret_env else f"file {config.secret_file}"
    if config.secret_env:
        secret = os.environ.get(config.secret_env, "").encode()
    else:
        try:
            # Editors and `echo` end a file with a line break, which is no part of the secret.
            secret = Path(str(config.secret_file)).read_bytes().rstrip(b"\r\n")
        except OSError as error:
            raise AuthConfigError(f"secret of issuer {config.issuer}: {where}: {error.strerror}") from error
    # A key must be as long as the hash (RFC 7518, section 3.2).
    least = max(int(algorithm[2:]) // 8 for algorithm in config.algorithms)
    if len(secret) < least:
        raise AuthConfigError(
            f"secret of issuer {config.issuer}: {where} holds {len(secret)} bytes; expected at least {least} "
            "random bytes"
        )
    return secret
