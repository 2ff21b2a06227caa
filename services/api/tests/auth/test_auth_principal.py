# SPDX-License-Identifier: Apache-2.0
"""What callers may do, and the part of the configuration about them."""

import re
from typing import Any

import pytest
from pydantic import ValidationError

from cowabungaai_api.auth.config import AuthConfig, LimitsConfig
from cowabungaai_api.auth.errors import PermissionDeniedError
from cowabungaai_api.auth.principal import MAX_REMEMBERED, Limits, Principal

ISSUER = {"issuer": "https://id.example", "audience": "gateway", "algorithms": ["RS256"], "jwks_file": "/keys.json"}


def principal(models: tuple[str, ...] | None, *scopes: str) -> Principal:
    return Principal("key_1", "first", "api_key", frozenset(scopes), models)


@pytest.mark.parametrize(
    ("patterns", "model", "allowed"),
    [
        (None, "anything", True),
        ((), "anything", False),
        (("llama-*",), "llama-3", True),
        (("llama-*",), "Llama-3", False),
        (("llama-*",), "codellama-3", False),
        (("a", "b-?"), "b-1", True),
        (("a", "b-?"), "b-10", False),
        (("*",), "a/b", True),
    ],
)
def test_models_by_pattern(patterns: tuple[str, ...] | None, model: str, allowed: bool) -> None:
    who = principal(patterns)
    assert [who.may_use(model), who.may_use(model)] == [allowed, allowed]


def test_what_is_remembered_of_models_is_bounded() -> None:
    who = principal(("a-*",))
    for number in range(3 * MAX_REMEMBERED):
        who.may_use(f"b-{number}")
    assert len(who._allowed) <= MAX_REMEMBERED
    assert who.may_use("a-1")


def test_a_missing_scope_is_told() -> None:
    principal(None, "admin").require("admin")
    with pytest.raises(PermissionDeniedError, match="needs the scope 'admin'; yours: inference") as caught:
        principal(None, "inference").require("admin")
    assert (caught.value.status, caught.value.code) == (403, "insufficient_permissions")


def test_limits_fall_back_one_by_one() -> None:
    assert Limits(1, None, 3).or_else(Limits(9, 8, None, 7)) == Limits(1, 8, 3, 7, None)


def test_the_configuration_has_the_limits() -> None:
    assert LimitsConfig(tokens_per_month=5).limits() == Limits(tokens_per_month=5)
    assert set(LimitsConfig.model_fields) == set(Limits.__dataclass_fields__)


def test_an_empty_configuration_lets_only_keys_in() -> None:
    assert AuthConfig() == AuthConfig(jwt=(), default_limits=LimitsConfig(), cache_seconds=30)


def issuer(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in {**ISSUER, **changes}.items() if value is not None}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"jwt": [issuer(jwks_file=None)]}, "give exactly one of 'secret_env'"),
        ({"jwt": [issuer(**{"secret_env": "A"})]}, "give exactly one of 'secret_env'"),
        ({"jwt": [issuer(algorithms=["HS256"])]}, "with public keys all 'algorithms' must be RS*, PS*, ES* or EdDSA"),
        ({"jwt": [issuer(algorithms=["RS256", "HS256"])]}, "with public keys all 'algorithms' must be"),
        (
            {"jwt": [issuer(**{"jwks_file": None, "secret_file": "/s"})]},
            "with a secret all 'algorithms' must be HS256, HS384 or HS512",
        ),
        ({"jwt": [issuer(algorithms=["none"])]}, "Input should be"),
        ({"jwt": [issuer(algorithms=[])]}, "at least 1 item"),
        ({"jwt": [issuer(audience=None)]}, "Field required"),
        ({"jwt": [issuer(audience=[])]}, "at least 1 item"),
        ({"jwt": [issuer(jwks_file=None, jwks_url="file:///etc/passwd")]}, "expected http[s]://"),
        ({"jwt": [issuer(), issuer()]}, "the issuer 'https://id.example' is listed twice"),
        ({"jwt": [issuer(scopes={"x": "root"})]}, "Input should be 'inference' or 'admin'"),
        ({"default_limits": {"requests_per_minute": 0}}, "greater than or equal to 1"),
        ({"default_limits": {"requests_per_second": 1}}, "Extra inputs are not permitted"),
        ({"cache_seconds": -1}, "greater than or equal to 0"),
    ],
)
def test_unfit_configuration_is_told(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(message)):
        AuthConfig.model_validate(config)
