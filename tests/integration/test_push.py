# SPDX-License-Identifier: Apache-2.0
"""The program that sends images, against a real registry that is gone, busy or broken."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from cowabunga import gotools
from cowabungaai.push_messages import PushAnswer, PushImage, PushOutcome, PushPlace, PushRegistry, PushRequest
from shared.registries import MANIFEST_TYPE, REQUEST_UNITS, Faults, Registry, faulty, running_registry

LAYER_SIZES = (150_000, 300, 90_000)
TAGS = ["0.1.0", "latest"]
PASSWORD = "a-password-that-nobody-may-see"  # noqa: S105 - of a test's own registry
WRONG = "not-the-password"


@pytest.fixture(scope="module")
def program() -> Path:
    """The push program, compiled for this machine."""
    return gotools.ensure("push") / "push"


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    """An empty registry."""
    with running_registry(gotools.ensure("registry") / "registry", tmp_path / "registry") as running:
        yield running


def layout(folder: Path, seed: int = 0, sizes: Sequence[int] = LAYER_SIZES) -> str:
    """Make an OCI layout with one image of bytes by chance; its digest."""
    dice = random.Random(seed)  # noqa: S311 - bytes of layers

    def blob(content: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        (folder / "blobs/sha256").mkdir(parents=True, exist_ok=True)
        (folder / "blobs/sha256" / digest).write_bytes(content)
        return {"digest": f"sha256:{digest}", "size": len(content)}

    layer_type = "application/vnd.oci.image.layer.v1.tar+zstd"
    layers = [{"mediaType": layer_type, **blob(dice.randbytes(size))} for size in sizes]
    rootfs = {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]}
    config = blob(json.dumps({"architecture": "amd64", "os": "linux", "rootfs": rootfs}).encode())
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **config},
        "layers": layers,
    }
    entry = {"mediaType": MANIFEST_TYPE, **blob(json.dumps(manifest, indent=1).encode())}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return str(entry["digest"])


def request_for(
    hosts: dict[str, str], images: dict[str, tuple[Path, str]], credentials: Path | None = None, **options: Any
) -> PushRequest:
    """A request to send images to registries, each to a repository of its own name."""
    registries = [
        PushRegistry(
            name=name,
            host=host,
            plain_http=True,
            username="robot" if credentials else "",
            password_file=str(credentials or ""),
        )
        for name, host in hosts.items()
    ]
    sent = [
        PushImage(
            name=name,
            layout=str(folder),
            digest=digest,
            places=[PushPlace(registry=host, repository=f"{host}/{name}", tags=TAGS) for host in hosts],
        )
        for name, (folder, digest) in images.items()
    ]
    return PushRequest(registries=registries, images=sent, **{"attempts": 2, "first_wait": 0.01, **options})


def with_tls(request: PushRequest) -> PushRequest:
    """The request, with TLS for all registries."""
    registries = [one.model_copy(update={"plain_http": False}) for one in request.registries]
    return request.model_copy(update={"registries": registries})


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate for the loopback, and its key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    making = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names]
    subprocess.run([*making, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


def push(program: Path, request: PushRequest, *arguments: str, **variables: str) -> tuple[int, PushAnswer, str]:
    """Run the program: its status, its answer, and all that it printed."""
    ended = subprocess.run(
        [program, *arguments],
        input=request.model_dump_json(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **variables},
    )
    assert ended.stdout, ended.stderr
    return ended.returncode, PushAnswer.model_validate_json(ended.stdout), ended.stdout + ended.stderr


def only(answer: PushAnswer) -> PushOutcome:
    """The one outcome."""
    assert not answer.refused
    assert len(answer.outcomes) == 1
    return answer.outcomes[0]


Sent = Callable[[int], tuple[Path, str]]


@pytest.fixture
def image(tmp_path: Path) -> Sent:
    """Makes layouts."""

    def make(seed: int) -> tuple[Path, str]:
        folder = tmp_path / f"layout-{seed}"
        return folder, layout(folder, seed)

    return make


def test_the_bytes_arrive_as_they_are_and_are_not_sent_twice(program: Path, registry: Registry, image: Sent) -> None:
    folder, digest = image(0)
    request = request_for({"r": registry.host}, {"api": (folder, digest)})
    code, first, _ = push(program, request)
    assert code == 0
    assert registry.check_whole() == {f"r/api:{tag}": digest for tag in TAGS}
    assert only(first).bytes_sent > sum(LAYER_SIZES)
    code, second, _ = push(program, request)
    assert code == 0
    # Manifests alone: by digest and by each tag.
    assert only(second).bytes_sent < 5000
    assert only(second).tags == TAGS


def test_what_images_share_is_sent_once(program: Path, registry: Registry, image: Sent) -> None:
    source = image(0)
    request = request_for({"r": registry.host}, {"api": source, "repeater": source}, at_once=1)
    code, answer, _ = push(program, request)
    first, second = answer.outcomes
    assert (code, first.bytes_sent > sum(LAYER_SIZES), second.bytes_sent < 5000) == (0, True, True)
    assert registry.check_whole() == {f"r/{name}:{tag}": source[1] for name in ("api", "repeater") for tag in TAGS}


def total_traffic(program: Path, image: tuple[Path, str], tmp_path: Path) -> int:
    """Units of an undisturbed push."""
    with (
        running_registry(gotools.ensure("registry") / "registry", tmp_path / "measured") as registry,
        faulty(registry, Faults()) as proxy,
    ):
        assert push(program, request_for({"r": proxy.host}, {"api": image}))[0] == 0
        return proxy.units


def somewhere(total: int, seed: int) -> int:
    """A point of a push, by chance."""
    return random.Random(seed).randrange(total)  # noqa: S311 - the same each time


@pytest.mark.parametrize("seed", range(20))
def test_a_registry_that_is_gone_leaves_no_tag_without_its_blobs_and_the_next_run_finishes(
    program: Path, registry: Registry, image: Sent, tmp_path: Path, seed: int
) -> None:
    source = image(seed)
    total = total_traffic(program, source, tmp_path)
    with faulty(registry, Faults(gone_after=somewhere(total, seed))) as proxy:
        code, answer, _ = push(program, request_for({"r": proxy.host}, {"api": source}))
    assert code == 1
    assert answer.refused or only(answer).error
    told = [] if answer.refused else only(answer).tags
    tags = registry.check_whole()
    assert set(tags.values()) <= {source[1]}
    assert {f"r/api:{tag}" for tag in told} <= set(tags)
    code, _, _ = push(program, request_for({"r": registry.host}, {"api": source}))
    assert code == 0
    assert registry.check_whole() == {f"r/api:{tag}": source[1] for tag in TAGS}


@pytest.mark.parametrize("seed", range(5))
def test_a_tag_moves_to_a_newer_image_only_when_that_is_whole(
    program: Path, registry: Registry, image: Sent, tmp_path: Path, seed: int
) -> None:
    old, new = image(100), image(200 + seed)
    assert push(program, request_for({"r": registry.host}, {"api": old}))[0] == 0
    total = total_traffic(program, new, tmp_path)
    with faulty(registry, Faults(gone_after=somewhere(total, seed))) as proxy:
        assert push(program, request_for({"r": proxy.host}, {"api": new}))[0] == 1
    tags = registry.check_whole()
    assert set(tags) == {f"r/api:{tag}" for tag in TAGS}
    assert set(tags.values()) <= {old[1], new[1]}


@pytest.mark.parametrize("seed", range(5))
def test_a_busy_and_breaking_registry_is_asked_again(program: Path, registry: Registry, image: Sent, seed: int) -> None:
    source = image(seed)
    with faulty(registry, Faults(chance=0.3, seed=seed)) as proxy:
        code, answer, _ = push(program, request_for({"r": proxy.host}, {"api": source}, attempts=12))
    assert code == 0, answer
    assert proxy.failures > 0
    assert only(answer).failed > 0
    assert registry.check_whole() == {f"r/api:{tag}": source[1] for tag in TAGS}


def test_a_registry_that_asks_for_patience_gets_it(program: Path, registry: Registry, image: Sent) -> None:
    faults = Faults(chance=1.0, ways=(429,), retry_after="2")
    with faulty(registry, faults) as proxy:
        started = time.monotonic()
        code, answer, _ = push(program, request_for({"r": proxy.host}, {"api": image(0)}, attempts=2))
    assert (code, len(proxy.seen)) == (1, 2)
    assert "429" in answer.refused[0]
    assert time.monotonic() - started > 3.9


@pytest.mark.parametrize("by_token", [False, True])
def test_credentials_are_used_and_never_shown(
    program: Path, registry: Registry, image: Sent, tmp_path: Path, by_token: bool
) -> None:
    source, password = image(0), tmp_path / "password"
    password.write_text(f"{PASSWORD}\n")
    with faulty(registry, Faults(credentials=("robot", PASSWORD), by_token=by_token)) as proxy:
        code, answer, printed = push(program, request_for({"r": proxy.host}, {"api": source}, credentials=password))
    assert code == 0, answer
    assert registry.check_whole() == {f"r/api:{tag}": source[1] for tag in TAGS}
    assert PASSWORD not in printed


@pytest.mark.parametrize("by_token", [False, True])
def test_wrong_credentials_of_one_registry_are_told_before_anything_is_sent_to_any(
    program: Path, registry: Registry, image: Sent, tmp_path: Path, by_token: bool
) -> None:
    password = tmp_path / "password"
    password.write_text(WRONG)
    faults = Faults(credentials=("robot", PASSWORD), by_token=by_token)
    with faulty(registry, faults) as closed:
        hosts = {"open": registry.host, "closed": closed.host}
        code, answer, printed = push(program, request_for(hosts, {"api": image(0)}, credentials=password))
    assert code == 1
    assert answer.outcomes == []
    assert len(answer.refused) == 1
    assert answer.refused[0].startswith(
        f"registry closed: {closed.host}/closed/api: it refuses the credentials of user"
    )
    assert registry.repositories() == []
    assert WRONG not in printed


def test_one_registry_that_is_gone_does_not_keep_the_other_from_its_images(
    program: Path, registry: Registry, image: Sent, tmp_path: Path
) -> None:
    images = {"api": image(1), "repeater": image(2)}
    # Enough for the question whether one may write, and a little more.
    with faulty(registry, Faults(gone_after=20 * REQUEST_UNITS)) as gone:
        request = request_for({"open": registry.host, "gone": gone.host}, images)
        code, answer, _ = push(program, request)
    assert code == 1
    errors = {(outcome.image, outcome.registry): bool(outcome.error) for outcome in answer.outcomes}
    assert errors == {
        ("api", "open"): False,
        ("api", "gone"): True,
        ("repeater", "open"): False,
        ("repeater", "gone"): True,
    }
    tags = registry.check_whole()
    assert {name: digest for name, digest in tags.items() if name.startswith("open/")} == {
        f"open/{name}:{tag}": digest for name, (_, digest) in images.items() for tag in TAGS
    }


def test_several_registries_hold_the_same_bytes(program: Path, registry: Registry, image: Sent, tmp_path: Path) -> None:
    source = image(0)
    with running_registry(gotools.ensure("registry") / "registry", tmp_path / "second") as second:
        request = request_for({"one": registry.host, "two": second.host}, {"api": source})
        assert push(program, request)[0] == 0
        assert set(registry.check_whole().values()) == set(second.check_whole().values()) == {source[1]}


def test_check_sends_nothing(program: Path, registry: Registry, image: Sent) -> None:
    code, answer, _ = push(program, request_for({"r": registry.host}, {"api": image(0)}), "-check")
    assert (code, answer.refused, answer.outcomes) == (0, [], [])
    assert registry.repositories() == []


def test_a_registry_that_takes_nothing_any_more_is_given_up(program: Path, registry: Registry, tmp_path: Path) -> None:
    folder = tmp_path / "large"
    # More than the buffers between the two hold.
    source = folder, layout(folder, sizes=(30_000_000,))
    with faulty(registry, Faults(stuck_after=REQUEST_UNITS * 20)) as proxy:
        started = time.monotonic()
        code, answer, _ = push(program, request_for({"r": proxy.host}, {"api": source}, patience=1))
    assert code == 1
    assert "timed out" in only(answer).error
    assert time.monotonic() - started < 20
    assert registry.check_whole() == {}


@pytest.mark.parametrize("trusted", [True, False])
def test_registries_are_spoken_to_by_tls(program: Path, image: Sent, tmp_path: Path, trusted: bool) -> None:
    certificate, key = self_signed(tmp_path)
    source, environment = image(0), {"SSL_CERT_FILE": str(certificate)} if trusted else {}
    tls = {"certificate": str(certificate), "key": str(key)}
    with running_registry(gotools.ensure("registry") / "registry", tmp_path / "registry", tls) as registry:
        request = with_tls(request_for({"r": registry.host}, {"api": source}, attempts=6))
        code, answer, _ = push(program, request, **environment)
        if trusted:
            assert (code, only(answer).error) == (0, "")
            assert registry.check_whole() == {f"r/api:{tag}": source[1] for tag in TAGS}
        else:
            assert code == 1
            assert "certificate" in answer.refused[0]


def test_plain_http_is_only_for_registries_that_are_named_so(program: Path, registry: Registry, image: Sent) -> None:
    code, answer, _ = push(program, with_tls(request_for({"r": registry.host}, {"api": image(0)})))
    assert code == 1
    assert answer.refused
    assert registry.repositories() == []
