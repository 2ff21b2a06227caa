# SPDX-License-Identifier: Apache-2.0
"""What the claims of a good token say about its bearer."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from pydantic import ValidationError

from cowabungaai_api.auth.config import JwtIssuer, LimitsConfig
from cowabungaai_api.auth.errors import AuthenticationError
from cowabungaai_api.auth.principal import Limits, Principal

Claims = Mapping[str, Any]
MAX_NAME = 200


def principal_of(claims: Claims, config: JwtIssuer, defaults: Limits) -> Principal:
    """Makes a principal of a token.

    Args:
        claims: the token's, whose signature and times are right.
        config: its issuer.
        defaults: limits where neither the token nor the issuer has any.

    Raises:
        AuthenticationError: a claim that the configuration names has the wrong form.
    """
    subject = lookup(claims, config.subject_claim)
    if not isinstance(subject, str) or not subject:
        raise _malformed(config.subject_claim, "a text")
    name = lookup(claims, config.name_claim) if config.name_claim else None
    return Principal(
        id=principal_id(config.issuer, subject),
        name=(name if isinstance(name, str) and name else subject)[:MAX_NAME],
        kind="jwt",
        scopes=_scopes(claims, config),
        models=_models(claims, config),
        limits=_limits(claims, config).or_else(config.limits.limits()).or_else(defaults),
        # The leeway is for clocks that differ, so it holds for a token that is kept as well.
        expires_at=float(claims["exp"]) + config.leeway_s,
    )


def principal_id(issuer: str, subject: str) -> str:
    """The id of a token's bearer: of the same length for all, and different for the same name of two issuers.

    Args:
        issuer: who made the token.
        subject: whom it is for.
    """
    return "jwt_" + sha256(f"{issuer}\0{subject}".encode()).hexdigest()[:32]


def lookup(claims: Any, path: str) -> Any:
    """Finds a claim; None where it is missing.

    Args:
        claims: all of them, or an object among them.
        path: the claim's name, or names from the outside in with dots between. Names may hold dots themselves, as
            those that are URLs do; the longer name wins.
    """
    if not isinstance(claims, Mapping):
        return None
    if path in claims:
        return claims[path]
    head = path
    while "." in head:
        head = head.rpartition(".")[0]
        if head in claims and (found := lookup(claims[head], path[len(head) + 1 :])) is not None:
            return found
    return None


def _scopes(claims: Claims, config: JwtIssuer) -> frozenset[str]:
    of_each = () if config.scopes_claim else ("inference",)
    scopes: set[str] = {*(of_each if config.default_scopes is None else config.default_scopes)}
    if config.scopes_claim:
        # Values that mean nothing here are common: roles for other programs.
        values = _words(claims, config.scopes_claim) or ()
        scopes.update(config.scopes[value] for value in values if value in config.scopes)
    return frozenset(scopes)


def _models(claims: Claims, config: JwtIssuer) -> tuple[str, ...] | None:
    if not config.models_claim:
        return None
    return _words(claims, config.models_claim) or ()


def _words(claims: Claims, path: str) -> tuple[str, ...] | None:
    value = lookup(claims, path)
    if value is None:
        return None
    if isinstance(value, str):
        return tuple(value.split())
    if isinstance(value, list) and all(isinstance(word, str) for word in value):
        return tuple(value)
    raise _malformed(path, "a text, or a list of texts")


def _limits(claims: Claims, config: JwtIssuer) -> Limits:
    value = lookup(claims, config.limits_claim) if config.limits_claim else None
    if value is None:
        return Limits()
    try:
        return LimitsConfig.model_validate(value, strict=True).limits()
    except ValidationError as error:
        raise _malformed(str(config.limits_claim), "an object of limits, each a whole number from 1") from error


def _malformed(claim: str, expected: str) -> AuthenticationError:
    return AuthenticationError(f"The token's claim '{claim}' is missing or malformed: expected {expected}.")
