# SPDX-License-Identifier: Apache-2.0
"""What is told of API keys. Times are seconds since 1970."""

from dataclasses import dataclass

from cowabungaai_api.auth.principal import Limits


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of a key; never the key itself.

    Args:
        id: stays the same when the secret is rotated.
        name: for people.
        prefix: the beginning of the secret, by which its owner knows it.
        scopes: what it allows.
        models: patterns of models that it may use; None for all.
        limits: its own limits.
        created_at: when it was made.
        expires_at: when it ends; None for never.
        revoked_at: when it was revoked.
        last_used_at: when it was used last, to about a minute.
        previous_until: until when the secret before the last rotation is good.
    """

    id: str
    name: str
    prefix: str
    scopes: frozenset[str]
    models: tuple[str, ...] | None
    limits: Limits
    created_at: int
    expires_at: int | None
    revoked_at: int | None
    last_used_at: int | None
    previous_until: int | None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key with its secret, which nobody can be told again.

    Args:
        key: what is known of it.
        secret: the whole key.
    """

    key: ApiKey
    secret: str


@dataclass(frozen=True, slots=True)
class Found:
    """A key found by its secret.

    Args:
        key: what is known of it.
        good_until: when the secret is replaced; None where it is the newest.
    """

    key: ApiKey
    good_until: int | None
