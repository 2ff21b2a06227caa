# SPDX-License-Identifier: Apache-2.0
"""Bodies of the endpoints about API keys. Times are seconds since 1970."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from cowabungaai_api.auth.account import Counts
from cowabungaai_api.auth.config import Count, LimitsConfig
from cowabungaai_api.auth.principal import LIMIT_NAMES, Limits, Principal, Scope
from cowabungaai_api.auth.records import ApiKey, NewKey
from cowabungaai_api.schemas.base import Strict

MAX_GRACE_S = 30 * 24 * 3600

# No control characters: they would change what a terminal shows, and PostgreSQL takes no NUL.
PRINTABLE = r"^[^\x00-\x1f\x7f]+$"
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=PRINTABLE)]
Pattern = Annotated[str, Field(min_length=1, max_length=256, pattern=PRINTABLE)]
Patterns = Annotated[list[Pattern], Field(max_length=100)]
Scopes = Annotated[list[Scope], Field(min_length=1, max_length=2)]
Moment = Annotated[int, Field(ge=0, lt=2**53)]


class LimitsBody(Strict):
    """Limits as a request gives them; null is the gateway's default."""

    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None
    requests_per_day: Count | None = None
    tokens_per_day: Count | None = None
    tokens_per_month: Count | None = None

    def changed(self, before: Limits) -> Limits:
        """Other limits, with those that the request names replaced.

        Args:
            before: the other ones.
        """
        chosen = (self if name in self.model_fields_set else before for name in LIMIT_NAMES)
        return Limits(*(getattr(source, name) for source, name in zip(chosen, LIMIT_NAMES, strict=True)))


class CreateKey(Strict):
    """A new key."""

    name: Name = Field(description="For people.")
    scopes: Scopes = Field(default=["inference"], description="What it allows.")
    models: Patterns | None = Field(default=None, description="Patterns of models, such as `llama-*`; null for all.")
    limits: LimitsBody = LimitsBody()
    expires_at: Moment | None = Field(default=None, description="When it ends; null for never.")


class ChangeKey(Strict):
    """A change of a key; what is left out stays."""

    name: Name | None = None
    scopes: Scopes | None = None
    models: Patterns | None = None
    limits: LimitsBody | None = None
    expires_at: Moment | None = None


class RotateKey(Strict):
    """A new secret for a key."""

    grace_seconds: int = Field(default=0, ge=0, le=MAX_GRACE_S, description="How long the present secret stays good.")


class KeyAnswer(BaseModel):
    """What is known of a key. `redacted_value` is the beginning of its secret."""

    id: str
    object: Literal["api_key"] = "api_key"
    name: str
    redacted_value: str
    scopes: list[str]
    models: list[str] | None
    limits: LimitsConfig
    created_at: int
    expires_at: int | None
    revoked_at: int | None
    last_used_at: int | None


class NewKeyAnswer(KeyAnswer):
    """A key with its secret, which is shown this once."""

    value: str


class KeyList(BaseModel):
    """A page of keys."""

    object: Literal["list"] = "list"
    data: list[KeyAnswer]
    first_id: str | None
    last_id: str | None
    has_more: bool


class DeletedKey(BaseModel):
    """A key that was revoked."""

    id: str
    object: Literal["api_key.deleted"] = "api_key.deleted"
    deleted: Literal[True] = True


class Use(BaseModel):
    """What was used in a day or month."""

    requests: int
    tokens: int


class Usage(BaseModel):
    """What was used today and this month, UTC."""

    day: Use
    month: Use


class Me(BaseModel):
    """Who asks."""

    id: str
    object: Literal["principal"] = "principal"
    name: str
    kind: str
    scopes: list[str]
    models: list[str] | None
    limits: LimitsConfig
    expires_at: float | None
    usage: Usage


def key_answer(key: ApiKey) -> KeyAnswer:
    """Writes a key.

    Args:
        key: the key.
    """
    return KeyAnswer(
        id=key.id,
        name=key.name,
        redacted_value=f"{key.prefix}...",
        scopes=sorted(key.scopes),
        models=None if key.models is None else list(key.models),
        limits=limits_answer(key.limits),
        created_at=key.created_at,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        last_used_at=key.last_used_at,
    )


def new_key_answer(new: NewKey) -> NewKeyAnswer:
    """Writes a key with its secret.

    Args:
        new: the key.
    """
    return NewKeyAnswer(**key_answer(new.key).model_dump(), value=new.secret)


def key_list(keys: Sequence[ApiKey], has_more: bool) -> KeyList:
    """Writes a page.

    Args:
        keys: those of the page.
        has_more: whether there are more after it.
    """
    data = [key_answer(key) for key in keys]
    first, last = (data[0].id, data[-1].id) if data else (None, None)
    return KeyList(data=data, first_id=first, last_id=last, has_more=has_more)


def me(principal: Principal, day: Counts, month: Counts) -> Me:
    """Writes who asks.

    Args:
        principal: who it is.
        day: what they used today.
        month: what they used this month.
    """
    return Me(
        id=principal.id,
        name=principal.name,
        kind=principal.kind,
        scopes=sorted(principal.scopes),
        models=None if principal.models is None else list(principal.models),
        limits=limits_answer(principal.limits),
        expires_at=principal.expires_at,
        usage=Usage(
            day=Use(requests=day.requests, tokens=day.tokens), month=Use(requests=month.requests, tokens=month.tokens)
        ),
    )


def limits_answer(limits: Limits) -> LimitsConfig:
    """Writes limits.

    Args:
        limits: the limits.
    """
    return LimitsConfig(**{name: getattr(limits, name) for name in LIMIT_NAMES})
