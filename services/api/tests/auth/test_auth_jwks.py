# SPDX-License-Identifier: Apache-2.0
"""Keys of issuers over real HTTP on loopback."""

import asyncio
import json
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from jwt.algorithms import ECAlgorithm

from cowabungaai_api.auth import jwks
from cowabungaai_api.auth.authenticator import Authenticator
from cowabungaai_api.auth.config import AuthConfig
from cowabungaai_api.auth.db import Database
from cowabungaai_api.auth.errors import AuthenticationError, IssuerUnavailableError
from cowabungaai_api.auth.store import KeyStore

pytestmark = pytest.mark.anyio
ISSUER = "https://id.example"
FIRST, SECOND = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))


def key_set(**keys: Any) -> bytes:
    """A set as an issuer publishes it."""
    listed = [{**ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid} for kid, key in keys.items()]
    return json.dumps({"keys": listed}).encode()


def token(key: Any, kid: str, **more: Any) -> bytes:
    claims = {"iss": ISSUER, "aud": "gateway", "sub": "user", "exp": int(time.time()) + 600, **more}
    return b"Bearer " + jwt.encode(claims, key, "ES256", {"kid": kid}).encode()


class Issuer:
    """An HTTP server whose answers the tests choose."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.status = 200
        self.body = key_set(one=FIRST)
        self.headers: dict[str, str] = {}
        self.pause_s = 0.0
        self.drip_s = 0.0
        self.slow_headers = 0
        self.asked = 0
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked += 1
                time.sleep(issuer.pause_s)
                self.send_response(issuer.status)
                for number in range(issuer.slow_headers):
                    self.send_header(f"x-{number}", "slow")
                    self.flush_headers()
                    time.sleep(0.15)
                for name, value in issuer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    for byte in [issuer.body] if not issuer.drip_s else [bytes([one]) for one in issuer.body]:
                        self.wfile.write(byte)
                        time.sleep(issuer.drip_s)
                except OSError:
                    # The client gave up, which some tests are about.
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.block_on_close = False
        if tls is not None:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.server.server_port}/keys"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self) -> None:
        """Stops it."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    found = Issuer()
    yield found
    found.close()


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Authenticator]:
    def made(**settings: Any) -> Authenticator:
        listed = {
            "issuer": ISSUER,
            "audience": "gateway",
            "algorithms": ["ES256"],
            "jwks_min_interval_s": 0.1,
            **settings,
        }
        config = AuthConfig.model_validate({"jwt": [listed], "cache_seconds": 0})
        return Authenticator(KeyStore(Database(f"sqlite:///{tmp_path}/none.db")), config)

    return made


async def test_keys_are_fetched_once(issuer: Issuer, make: Callable[..., Authenticator]) -> None:
    authenticator = make(jwks_url=issuer.url)
    await asyncio.gather(*(authenticator.authenticate(token(FIRST, "one", jti=str(number))) for number in range(20)))
    assert issuer.asked == 1


async def test_a_new_key_of_the_issuer_is_noticed(issuer: Issuer, make: Callable[..., Authenticator]) -> None:
    authenticator = make(jwks_url=issuer.url)
    await authenticator.authenticate(token(FIRST, "one"))
    issuer.body = key_set(two=SECOND)
    await asyncio.sleep(0.11)
    assert (await authenticator.authenticate(token(SECOND, "two"))).name == "user"
    with pytest.raises(AuthenticationError, match="no key that it could be signed with"):
        await authenticator.authenticate(token(FIRST, "one"))


async def test_unknown_keys_cannot_make_it_ask_often(issuer: Issuer, make: Callable[..., Authenticator]) -> None:
    authenticator = make(jwks_url=issuer.url, jwks_min_interval_s=60)
    for number in range(20):
        with pytest.raises(AuthenticationError):
            await authenticator.authenticate(token(SECOND, f"made-up-{number}"))
    assert issuer.asked == 1


async def test_old_keys_are_renewed_without_a_wait(issuer: Issuer, make: Callable[..., Authenticator]) -> None:
    authenticator = make(jwks_url=issuer.url, jwks_refresh_s=1)
    await authenticator.authenticate(token(FIRST, "one"))
    issuer.pause_s = 0.5
    await asyncio.sleep(1)
    before = time.monotonic()
    await asyncio.gather(*(authenticator.authenticate(token(FIRST, "one", jti=str(number))) for number in range(5)))
    assert time.monotonic() - before < 0.4
    await authenticator.close()
    assert issuer.asked == 2


async def test_keys_outlive_a_failure_of_the_issuer(
    issuer: Issuer, make: Callable[..., Authenticator], caplog: pytest.LogCaptureFixture
) -> None:
    authenticator = make(jwks_url=issuer.url, jwks_refresh_s=1)
    await authenticator.authenticate(token(FIRST, "one"))
    issuer.status = 500
    await asyncio.sleep(1)
    with caplog.at_level(logging.WARNING):
        await authenticator.authenticate(token(FIRST, "one"))
        await authenticator.close()
    assert issuer.asked == 2
    assert "cannot read the keys of an issuer" in caplog.text


async def test_keys_do_not_outlive_it_for_ever(
    issuer: Issuer, make: Callable[..., Authenticator], monkeypatch: pytest.MonkeyPatch
) -> None:
    authenticator = make(jwks_url=issuer.url)
    await authenticator.authenticate(token(FIRST, "one"))
    issuer.status = 500
    monkeypatch.setattr(jwks, "STALE_S", 0.2)
    await asyncio.sleep(0.2)
    with pytest.raises(IssuerUnavailableError):
        await authenticator.authenticate(token(FIRST, "one"))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"status": 404}, "404"),
        ({"status": 302, "headers": {"location": "/keys"}}, "302"),
        ({"body": b"not json"}, "Expecting value"),
        ({"body": b"[]"}, "no JSON Web Key Set"),
        ({"body": b'{"keys": [1]}'}, "no JSON Web Key Set"),
        ({"body": b" " * (jwks.MAX_BYTES + 1)}, "more than 1048576 bytes"),
        ({"body": b"\xff\xfe\xfd"}, "decode"),
        ({"pause_s": 2.0}, "timed out"),
        ({"body": b" " * 100, "drip_s": 0.05}, "did not come in time"),
    ],
)
async def test_bad_answers_are_the_servers_fault(
    issuer: Issuer,
    make: Callable[..., Authenticator],
    caplog: pytest.LogCaptureFixture,
    answer: dict[str, Any],
    reason: str,
) -> None:
    authenticator = make(jwks_url=issuer.url, jwks_timeout_s=0.5)
    for name, value in answer.items():
        setattr(issuer, name, value)
    before = time.monotonic()
    with pytest.raises(IssuerUnavailableError, match="cannot be had at the moment") as caught:
        await authenticator.authenticate(token(FIRST, "one"))
    assert time.monotonic() - before < 1.5
    assert (caught.value.status, caught.value.code) == (503, "issuer_unavailable")
    assert issuer.url not in caught.value.message
    (record,) = caplog.records
    assert reason in record.__dict__["fields"]["error"]
    assert issuer.asked == 1


async def test_headers_that_never_end_are_not_waited_for(
    issuer: Issuer, make: Callable[..., Authenticator], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "GRACE_S", 0.1)
    authenticator = make(jwks_url=issuer.url, jwks_timeout_s=0.2)
    issuer.slow_headers = 5
    before = time.monotonic()
    with pytest.raises(IssuerUnavailableError):
        await authenticator.authenticate(token(FIRST, "one"))
    assert time.monotonic() - before < 0.6
    await asyncio.sleep(0.11)
    with pytest.raises(IssuerUnavailableError):
        await authenticator.authenticate(token(FIRST, "one"))
    # The second one waited for the first one's thread, and made none of its own.
    assert issuer.asked == 1
    await authenticator.close()


async def test_an_issuer_that_is_not_there_is_told(make: Callable[..., Authenticator]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(IssuerUnavailableError):
        await make(jwks_url=f"http://127.0.0.1:{port}/").authenticate(token(FIRST, "one"))


async def test_an_issuer_that_comes_back_is_noticed(issuer: Issuer, make: Callable[..., Authenticator]) -> None:
    authenticator = make(jwks_url=issuer.url)
    issuer.status = 503
    with pytest.raises(IssuerUnavailableError):
        await authenticator.authenticate(token(FIRST, "one"))
    issuer.status = 200
    await asyncio.sleep(0.11)
    assert (await authenticator.authenticate(token(FIRST, "one"))).name == "user"


async def test_a_fetch_does_not_stop_others(issuer: Issuer, make: Callable[..., Authenticator]) -> None:
    issuer.pause_s = 0.3
    asking = asyncio.create_task(make(jwks_url=issuer.url).authenticate(token(FIRST, "one")))
    worst = 0.0
    while not asking.done():
        before = time.monotonic()
        await asyncio.sleep(0.01)
        worst = max(worst, time.monotonic() - before)
    assert (await asking).name == "user"
    assert worst < 0.25


async def test_a_new_configuration_keeps_keys_of_issuers_that_stay(
    issuer: Issuer, make: Callable[..., Authenticator]
) -> None:
    authenticator = make(jwks_url=issuer.url)
    await authenticator.authenticate(token(FIRST, "one"))
    (verifier,) = authenticator._rules.verifiers.values()
    authenticator.reconfigure(AuthConfig(jwt=(verifier.config,), cache_seconds=1))
    await authenticator.authenticate(token(FIRST, "one"))
    assert issuer.asked == 1
    authenticator.reconfigure(AuthConfig())
    with pytest.raises(AuthenticationError, match="unknown form"):
        await authenticator.authenticate(token(FIRST, "one"))


async def test_a_file_is_read_again(make: Callable[..., Authenticator], tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    authenticator = make(jwks_file=str(file))
    with pytest.raises(IssuerUnavailableError):
        await authenticator.authenticate(token(FIRST, "one"))
    for kid, key in (("one", FIRST), ("two", SECOND)):
        file.write_bytes(key_set(**{kid: key}))
        await asyncio.sleep(0.11)
        assert (await authenticator.authenticate(token(key, kid))).name == "user"


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """A certificate for loopback that is its own authority, and its key in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(True, None), True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file = tmp_path / "loopback.pem"
    file.write_bytes(private + certificate.public_bytes(Encoding.PEM))
    return file


@pytest.mark.parametrize("trusted", [True, False])
async def test_certificates_are_checked_with_the_machines_authorities(
    make: Callable[..., Authenticator],
    authority: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    trusted: bool,
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority)
    issuer = Issuer(context)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    try:
        asking = make(jwks_url=issuer.url).authenticate(token(FIRST, "one"))
        if trusted:
            assert (await asking).name == "user"
        else:
            with pytest.raises(IssuerUnavailableError):
                await asking
            assert "CERTIFICATE_VERIFY_FAILED" in caplog.records[0].__dict__["fields"]["error"]
    finally:
        issuer.close()
