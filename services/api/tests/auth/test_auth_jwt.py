# SPDX-License-Identifier: Apache-2.0
"""Tokens of issuers, with real keys and forged ones."""

import base64
import hmac
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import get_default_algorithms

from cowabungaai_api.auth.authenticator import Authenticator
from cowabungaai_api.auth.claims import lookup
from cowabungaai_api.auth.config import AuthConfig
from cowabungaai_api.auth.db import Database
from cowabungaai_api.auth.errors import AuthConfigError, AuthenticationError
from cowabungaai_api.auth.principal import Limits, Principal
from cowabungaai_api.auth.store import KeyStore

pytestmark = pytest.mark.anyio
ISSUER, AUDIENCE = "https://id.example/realms/main", "gateway"
SECRET = "0123456789abcdef0123456789abcdef-and-more-of-it-for-the-longer-hashes"  # noqa: S105 - of the tests alone
RSA = rsa.generate_private_key(65537, 2048)
OTHER_RSA = rsa.generate_private_key(65537, 2048)
EC, EC384 = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP384R1())
ED = ed25519.Ed25519PrivateKey.generate()


def jwk(key: Any, kid: str | None, algorithm: str, **more: Any) -> dict[str, Any]:
    """A public key as an issuer publishes it."""
    made = get_default_algorithms()[algorithm].to_jwk(key.public_key(), as_dict=True)
    return {**made, **({"kid": kid} if kid else {}), **more}


KEYS = [
    jwk(RSA, "rsa", "RS256", use="sig", alg="RS256"),
    jwk(EC, "ec", "ES256", key_ops=["verify"]),
    jwk(EC384, "ec384", "ES384"),
    jwk(ED, "ed", "EdDSA"),
    jwk(RSA, "any-rsa", "RS256"),
    jwk(OTHER_RSA, "encryption", "RS256", use="enc"),
    jwk(OTHER_RSA, "signing-only", "RS256", key_ops=["sign"]),
    {"kty": "oct", "kid": "oct", "k": base64.urlsafe_b64encode(SECRET.encode()).decode()},
    {"kty": "nonsense", "kid": "nonsense"},
]


def claims(**changes: Any) -> dict[str, Any]:
    """Those of a good token; None takes one away."""
    now = int(time.time())
    good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "user-1", "iat": now, "exp": now + 600}
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def token(key: Any = RSA, algorithm: str = "RS256", kid: str | None = "rsa", **changes: Any) -> str:
    """A token with other claims."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return jwt.encode(claims(**changes), key, algorithm, {"kid": kid} if kid else None)


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    """Tokens need no database."""
    return KeyStore(Database(f"sqlite:///{tmp_path}/none.db"))


@pytest.fixture
def make(store: KeyStore, tmp_path: Path) -> Callable[..., Authenticator]:
    """Makes an authenticator of an issuer with public keys; None takes a setting away."""
    (tmp_path / "keys.json").write_text(json.dumps({"keys": KEYS}))

    def made(defaults: dict[str, int] | None = None, **changes: Any) -> Authenticator:
        algorithms = ["RS256", "PS256", "ES256", "ES384", "EdDSA"]
        good = {"issuer": ISSUER, "audience": AUDIENCE, "algorithms": algorithms, "jwks_file": f"{tmp_path}/keys.json"}
        issuer = {name: value for name, value in {**good, **changes}.items() if value is not None}
        config = AuthConfig.model_validate({"jwt": [issuer], "default_limits": defaults or {}})
        return Authenticator(store, config)

    return made


async def ask(authenticator: Authenticator, text: str) -> Principal:
    return await authenticator.authenticate(f"Bearer {text}".encode())


async def refused(authenticator: Authenticator, text: str) -> str:
    with pytest.raises(AuthenticationError) as caught:
        await ask(authenticator, text)
    assert (caught.value.status, caught.value.code) == (401, "invalid_api_key")
    return caught.value.message


async def test_a_good_token_is_known_and_cached(make: Callable[..., Authenticator]) -> None:
    authenticator = make(name_claim="preferred_username", leeway_s=10)
    made = token(preferred_username="Ann", exp=int(time.time()) + 20)
    principal = await ask(authenticator, made)
    assert (principal.name, principal.kind, principal.models) == ("Ann", "jwt", None)
    assert principal.scopes == {"inference"}
    assert principal.expires_at == pytest.approx(time.time() + 30, abs=2)
    assert authenticator.cached(f"Bearer {made}".encode()) is principal
    again = await ask(authenticator, token(jti="another"))
    assert (again.id, again.name) == (principal.id, "user-1")
    assert (await ask(authenticator, token(sub="user-2"))).id != principal.id


@pytest.mark.parametrize(
    ("key", "algorithm", "kid"),
    [
        (RSA, "RS256", "rsa"),
        (RSA, "RS256", "any-rsa"),
        (RSA, "PS256", "any-rsa"),
        (EC, "ES256", "ec"),
        (EC384, "ES384", "ec384"),
        (ED, "EdDSA", "ed"),
        (ED, "EdDSA", None),
    ],
)
async def test_public_keys_of_every_kind(
    make: Callable[..., Authenticator], key: Any, algorithm: str, kid: str
) -> None:
    assert (await ask(make(), token(key, algorithm, kid))).name == "user-1"


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (token(aud="other"), "another audience"),
        (token(aud=["a", "b"]), "another audience"),
        (token(aud=None), "lacks the claim 'aud'"),
        (token(exp=None), "lacks the claim 'exp'"),
        (token(exp=int(time.time()) - 31), "has expired"),
        (token(exp="soon"), "not valid"),
        (token(nbf=int(time.time()) + 100), "not valid yet"),
        (token(iat=int(time.time()) + 100), "not valid yet"),
        (token(iss="https://evil.example"), "issuer is not one of those"),
        (token(iss=None), "issuer is not one of those"),
        (token(iss=ISSUER + "/"), "issuer is not one of those"),
        (token(sub=None), "claim 'sub' is missing or malformed"),
        (token(sub=""), "claim 'sub' is missing or malformed"),
        (token(OTHER_RSA), "its signature or a claim is wrong"),
        (token(kid="unknown"), "no key that it could be signed with"),
        (token(kid="nonsense"), "no key that it could be signed with"),
        (token(kid=None), "no key that it could be signed with"),
        (token(OTHER_RSA, kid="encryption"), "no key that it could be signed with"),
        (token(OTHER_RSA, kid="signing-only"), "no key that it could be signed with"),
        (token(RSA, "PS256", "rsa"), "no key that it could be signed with"),
        (token(EC, "ES256", "rsa"), "no key that it could be signed with"),
        (token(RSA, "RS512", "any-rsa"), "algorithm is not accepted; expected RS256"),
        (token(SECRET, "HS256", "oct"), "algorithm is not accepted"),
        ("a.b.c", "malformed: expected a signed JSON Web Token"),
        ("..", "malformed: expected a signed JSON Web Token"),
        (token()[:-4] + "AAAA", "its signature or a claim is wrong"),
        (token(blob="x" * 20000), "too long"),
    ],
)
async def test_bad_tokens_are_refused(make: Callable[..., Authenticator], made: str, message: str) -> None:
    assert message in await refused(make(), made)


def forged(header: dict[str, Any], key: bytes | None) -> str:
    """A token made by hand, as an attacker would."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims())]
    signed = b".".join(parts)
    signature = b"" if key is None else hmac.digest(key, signed, "sha256")
    return (signed + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", ""])
async def test_unsigned_tokens_are_refused(make: Callable[..., Authenticator], algorithm: str) -> None:
    await refused(make(), forged({"alg": algorithm, "typ": "JWT", "kid": "rsa"}, None))


async def test_a_public_key_is_never_a_secret(make: Callable[..., Authenticator]) -> None:
    public = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for key in (public, public.strip(), json.dumps(KEYS[0]).encode()):
        assert "algorithm is not accepted" in await refused(make(), forged({"alg": "HS256", "kid": "rsa"}, key))


async def test_a_key_that_the_token_brings_is_not_used(make: Callable[..., Authenticator]) -> None:
    own = jwk(OTHER_RSA, "rsa", "RS256")
    made = jwt.encode(claims(), OTHER_RSA, "RS256", {"kid": "rsa", "jwk": own, "jku": "http://127.0.0.1:1/"})
    assert "signature" in await refused(make(), made)


async def test_unknown_critical_headers_are_refused(make: Callable[..., Authenticator]) -> None:
    made = jwt.encode(claims(), RSA, "RS256", {"kid": "rsa", "crit": ["new"], "new": 1})
    await refused(make(), made)


async def test_clocks_may_differ_by_the_leeway(make: Callable[..., Authenticator]) -> None:
    made = token(exp=int(time.time()) - 20)
    assert (await ask(make(leeway_s=30), made)).name == "user-1"
    assert "expired" in await refused(make(leeway_s=5), made)


async def test_several_audiences(make: Callable[..., Authenticator]) -> None:
    authenticator = make(audience=["one", "two"])
    assert (await ask(authenticator, token(aud=["zero", "two"]))).name == "user-1"
    assert "audience" in await refused(authenticator, token(aud="three"))


async def test_without_issuers_tokens_are_no_keys(store: KeyStore) -> None:
    assert "expected one that begins with 'cbai_'." in await refused(Authenticator(store, AuthConfig()), token())


@pytest.mark.parametrize("source", ["secret_file", "secret_env"])
async def test_shared_secrets(
    make: Callable[..., Authenticator], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    (tmp_path / "secret").write_text(SECRET + "\n")
    monkeypatch.setenv("TOKEN_SECRET", SECRET)
    where = {"secret_file": f"{tmp_path}/secret"} if source == "secret_file" else {"secret_env": "TOKEN_SECRET"}
    authenticator = make(jwks_file=None, algorithms=["HS256", "HS512"], **where)
    for algorithm in ("HS256", "HS512"):
        assert (await ask(authenticator, token(SECRET, algorithm, None))).name == "user-1"
    assert "signature" in await refused(authenticator, token(SECRET + "x", "HS256", None))
    assert "algorithm is not accepted" in await refused(authenticator, token(SECRET, "HS384", None))
    assert "algorithm is not accepted" in await refused(authenticator, token())
    await refused(authenticator, forged({"alg": "none"}, None))
    await refused(authenticator, forged({"alg": "HS256"}, b""))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"secret_env": "TOKEN_SECRET"}, "environment variable TOKEN_SECRET holds 5 bytes; expected at least 32"),
        ({"secret_env": "NOT_SET_ANYWHERE"}, "environment variable NOT_SET_ANYWHERE holds 0 bytes"),
        ({"secret_file": "/nowhere"}, "file /nowhere: No such file or directory"),
    ],
)
def test_unfit_secrets_are_told(
    make: Callable[..., Authenticator], monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], message: str
) -> None:
    monkeypatch.setenv("TOKEN_SECRET", "short")
    with pytest.raises(AuthConfigError, match=message) as caught:
        make(jwks_file=None, algorithms=["HS256"], **settings)
    assert "short" not in caught.value.message


async def test_roles_become_scopes(make: Callable[..., Authenticator]) -> None:
    authenticator = make(scopes_claim="realm_access.roles", scopes={"ai-user": "inference", "ai-admin": "admin"})

    async def scopes(**more: Any) -> frozenset[str]:
        return (await ask(authenticator, token(**more))).scopes

    assert await scopes(realm_access={"roles": ["offline_access", "ai-admin", "ai-user"]}) == {"admin", "inference"}
    assert await scopes(realm_access={"roles": "ai-user other"}) == {"inference"}
    assert await scopes(realm_access={"roles": []}) == set()
    assert await scopes(realm_access=["roles"]) == set()
    assert await scopes() == set()
    assert "realm_access.roles" in await refused(authenticator, token(realm_access={"roles": [1]}))


async def test_models_come_from_the_token(make: Callable[..., Authenticator]) -> None:
    authenticator = make(models_claim="models")
    assert (await ask(authenticator, token(models=["llama-*", "b"]))).models == ("llama-*", "b")
    assert (await ask(authenticator, token(models="llama-*"))).models == ("llama-*",)
    assert (await ask(authenticator, token())).models == ()
    assert "claim 'models'" in await refused(authenticator, token(models=7))


async def test_limits_come_from_token_issuer_and_defaults(make: Callable[..., Authenticator]) -> None:
    authenticator = make(
        {"tokens_per_day": 1, "requests_per_day": 2}, limits_claim="ai.limits", limits={"requests_per_day": 3}
    )
    made = token(ai={"limits": {"requests_per_minute": 4}})
    assert (await ask(authenticator, made)).limits == Limits(4, None, 3, 1, None)
    assert (await ask(authenticator, token())).limits == Limits(None, None, 3, 1, None)
    malformed: list[Any] = [{"requests_per_minute": "4"}, {"requests_per_minute": 0}, {"other": 1}, [], "x"]
    for wrong in malformed:
        assert "claim 'ai.limits'" in await refused(authenticator, token(ai={"limits": wrong}))


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a", 1),
        ("b.c", 2),
        ("https://x.example/roles", 3),
        ("d.my.client.roles", 4),
        ("e.f", 5),
        ("e.g", 6),
        ("b.x", None),
        ("b", {"c": 2}),
        ("a.b", None),
        ("", None),
    ],
)
def test_claims_are_found_by_path(path: str, found: object) -> None:
    all_claims = {
        "a": 1,
        "b": {"c": 2},
        "https://x.example/roles": 3,
        "d": {"my.client": {"roles": 4}},
        "e.f": 5,
        "e": {"f": 0, "g": 6},
    }
    assert lookup(all_claims, path) == found
