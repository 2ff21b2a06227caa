# SPDX-License-Identifier: Apache-2.0
"""The part of the gateway's configuration file that says which callers are known and how much they may ask for."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from cowabungaai_api.auth.principal import LIMIT_NAMES, Limits, Scope

MAX_LIMIT = 2**53
"""Larger numbers are not exact in every JSON parser."""

Count = Annotated[int, Field(ge=1, le=MAX_LIMIT)]
Text = Annotated[str, Field(min_length=1, max_length=1024)]
SymmetricAlgorithm = Literal["HS256", "HS384", "HS512"]
AsymmetricAlgorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]  # fmt: skip


def _http_url(text: str) -> str:
    if not text.startswith(("https://", "http://")):
        raise PydanticCustomError("url", "expected http[s]://HOST[:PORT]/PATH")
    return text


class Part(BaseModel):
    """A part of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LimitsConfig(Part):
    """How much a caller may ask for; what is left out has no limit. The fields are those of Limits.

    Args:
        requests_per_minute: requests in a minute.
        tokens_per_minute: tokens in a minute, of prompts and answers.
        requests_per_day: requests in a calendar day, UTC.
        tokens_per_day: tokens in a calendar day, UTC.
        tokens_per_month: tokens in a calendar month, UTC.
    """

    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None
    requests_per_day: Count | None = None
    tokens_per_day: Count | None = None
    tokens_per_month: Count | None = None

    def limits(self) -> Limits:
        """The same without pydantic."""
        return Limits(*(getattr(self, name) for name in LIMIT_NAMES))


class JwtIssuer(Part):
    """An issuer whose tokens are accepted. Exactly one source of its keys is given.

    Claims are named by paths with dots, such as `realm_access.roles`; a name that holds dots itself is found too.

    Args:
        issuer: what `iss` must be, to the letter.
        audience: what `aud` must be or hold; one of them where several are given.
        algorithms: the accepted ones; HS* needs a secret, all others need public keys.
        secret_env: environment variable with the secret.
        secret_file: file with it.
        jwks_url: where the issuer publishes its keys.
        jwks_file: a file with its keys, read again when they are refreshed.
        jwks_refresh_s: how old the keys may become, in seconds.
        jwks_min_interval_s: the least time between two fetches for keys that were unknown, in seconds.
        jwks_timeout_s: how long a fetch may take, in seconds.
        leeway_s: how far clocks may differ, in seconds.
        subject_claim: who the token is for.
        name_claim: their name for people; `subject_claim` where it is missing.
        scopes_claim: a list, or words with blanks between, that `scopes` translates.
        scopes: what each value of it allows.
        default_scopes: what every accepted token allows: inference, unless `scopes_claim` says what each one allows.
        models_claim: patterns of models, as a list or words with blanks between; a token without it may use none.
        limits_claim: an object with fields of limits.
        limits: limits of tokens that bring none.
    """

    issuer: Text
    audience: Text | Annotated[tuple[Text, ...], Field(min_length=1)]
    algorithms: Annotated[tuple[SymmetricAlgorithm | AsymmetricAlgorithm, ...], Field(min_length=1)]
    secret_env: Text | None = None
    secret_file: Text | None = None
    jwks_url: Annotated[Text, AfterValidator(_http_url)] | None = None
    jwks_file: Text | None = None
    jwks_refresh_s: float = Field(default=300, ge=1, le=86400)
    jwks_min_interval_s: float = Field(default=10, ge=0.1, le=3600)
    jwks_timeout_s: float = Field(default=5, gt=0, le=60)
    leeway_s: float = Field(default=30, ge=0, le=300)
    subject_claim: Text = "sub"
    name_claim: Text | None = None
    scopes_claim: Text | None = None
    scopes: dict[Text, Scope] = {"inference": "inference", "admin": "admin"}
    default_scopes: tuple[Scope, ...] | None = None
    models_claim: Text | None = None
    limits_claim: Text | None = None
    limits: LimitsConfig = LimitsConfig()

    @model_validator(mode="after")
    def _keys_fit_algorithms(self) -> Self:
        sources = [self.secret_env, self.secret_file, self.jwks_url, self.jwks_file]
        if sum(source is not None for source in sources) != 1:
            raise PydanticCustomError(
                "source", "give exactly one of 'secret_env', 'secret_file', 'jwks_url' and 'jwks_file'"
            )
        # A public key that were taken for a shared secret would let anybody sign.
        symmetric = {algorithm.startswith("HS") for algorithm in self.algorithms}
        if symmetric != {self.has_secret}:
            expected = "HS256, HS384 or HS512" if self.has_secret else "RS*, PS*, ES* or EdDSA"
            source = "a secret" if self.has_secret else "public keys"
            raise PydanticCustomError(
                "algorithms",
                "with {source} all 'algorithms' must be {expected}",
                {"source": source, "expected": expected},
            )
        return self

    @property
    def has_secret(self) -> bool:
        """Whether tokens are signed with a shared secret."""
        return self.secret_env is not None or self.secret_file is not None


class AuthConfig(Part):
    """How callers are checked.

    Args:
        jwt: the issuers whose tokens are accepted beside API keys.
        default_limits: limits of callers that have none of their own; those with the admin key have no limits.
        cache_seconds: how long a key that was looked up is believed, in seconds: so long a revoked key may live on
            other replicas.
    """

    jwt: tuple[JwtIssuer, ...] = ()
    default_limits: LimitsConfig = LimitsConfig()
    cache_seconds: float = Field(default=30, ge=0, le=3600)

    @model_validator(mode="after")
    def _one_of_each_issuer(self) -> Self:
        seen: set[str] = set()
        for number, issuer in enumerate(self.jwt):
            if issuer.issuer in seen:
                # The gateway's messages point at the place that `where` names.
                context = {"issuer": issuer.issuer, "where": ("auth", "jwt", number, "issuer")}
                raise PydanticCustomError("reference", "the issuer '{issuer}' is listed twice", context)
            seen.add(issuer.issuer)
        return self
