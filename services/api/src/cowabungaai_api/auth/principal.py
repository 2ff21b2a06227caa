# SPDX-License-Identifier: Apache-2.0
"""Who a request is from, and what they may do."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

from cowabungaai_api.auth.errors import PermissionDeniedError

Kind = Literal["api_key", "jwt", "admin_key"]
Scope = Literal["inference", "admin"]
SCOPES: tuple[Scope, ...] = ("inference", "admin")
MAX_REMEMBERED = 1024
"""Model names come from clients, so what was decided about them is kept for so many only."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a caller may ask for; None is no limit.

    Args:
        requests_per_minute: requests in a minute, as a token bucket of that size.
        tokens_per_minute: tokens in a minute, likewise; of prompts and answers.
        requests_per_day: requests in a calendar day, UTC.
        tokens_per_day: tokens in a calendar day, UTC.
        tokens_per_month: tokens in a calendar month, UTC.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    requests_per_day: int | None = None
    tokens_per_day: int | None = None
    tokens_per_month: int | None = None

    def or_else(self, other: "Limits") -> "Limits":
        """These limits, where None is replaced by another's.

        Args:
            other: the defaults.
        """
        values = ((getattr(self, name), getattr(other, name)) for name in LIMIT_NAMES)
        return Limits(*(second if first is None else first for first, second in values))


LIMIT_NAMES = tuple(Limits.__dataclass_fields__)
NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller that is known.

    Args:
        id: stays the same for as long as the caller exists; limits and usage are kept by it.
        name: for people.
        kind: how they proved who they are.
        scopes: what they may do, of SCOPES.
        models: patterns such as `llama-*` of models they may use; None for all.
        limits: how much they may ask for.
        expires_at: when the proof ends, in seconds since 1970; None for never.
    """

    id: str
    name: str
    kind: Kind
    scopes: frozenset[str]
    models: tuple[str, ...] | None = None
    limits: Limits = NO_LIMITS
    expires_at: float | None = None
    _allowed: dict[str, bool] = field(default_factory=dict, init=False, repr=False, compare=False)

    def may_use(self, model: str) -> bool:
        """Whether they may use a model.

        Args:
            model: its name as clients know it.
        """
        if self.models is None:
            return True
        allowed = self._allowed.get(model)
        if allowed is None:
            if len(self._allowed) >= MAX_REMEMBERED:
                self._allowed.clear()
            allowed = self._allowed[model] = _matches(model, self.models)
        return allowed

    def require(self, scope: Scope) -> None:
        """Checks that they may do something.

        Args:
            scope: what it needs.

        Raises:
            PermissionDeniedError: they may not.
        """
        if scope not in self.scopes:
            has = ", ".join(sorted(self.scopes)) or "none"
            raise PermissionDeniedError(f"This needs the scope '{scope}'; yours: {has}.")


def _matches(model: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(model, pattern) for pattern in patterns)
