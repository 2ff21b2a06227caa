# SPDX-License-Identifier: Apache-2.0
"""Publishing with the real engine to a real registry, which asks for credentials and may be gone at any moment."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from harness import CHECKOUT, Run, exported

from cowabunga import gotools
from shared.registries import MANIFEST_TYPE, REQUEST_UNITS, Faults, Proxy, Registry, faulty, running_registry
from shared.secrecy import Traces, collecting, shown
from shared.vulnerabilities import ELSEWHERE, Advisory, build

HERE = Advisory("CVE-2099-0001", "zlib", "1:99.0-1")
USER, PASSWORD = "robot", "pa55-that-nobody-may-see-7f3a"
# A database, where the call must end before it comes to that.
NEVER_READ = CHECKOUT / "README.md"
SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="session")
def clean_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database by which the image is without fault."""
    return build(tmp_path_factory.mktemp("clean"), ELSEWHERE)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    """An empty registry."""
    with running_registry(gotools.ensure("registry") / "registry", tmp_path / "registry") as running:
        yield running


@contextmanager
def closed(registry: Registry, **faults: Any) -> Iterator[Proxy]:
    """The registry behind a proxy that exchanges credentials for a token."""
    with faulty(registry, Faults(credentials=(USER, PASSWORD), by_token=True, **faults)) as proxy:
        yield proxy


def arguments(proxy: Proxy, database: Path, *prefixes: str, all_of: str = "") -> list[str | Path]:
    """A call that publishes the repeater, or all of some services, to the proxy's registry, below these prefixes."""
    what = ["publish-all", "--services", all_of] if all_of else ["publish", "--service", "repeater"]
    credentials = ("with-registry-auth", "--address", f"local:{proxy.port}", "--username", USER)
    secret = ("--secret", "env:REGISTRY_PASSWORD")
    return ["call", *credentials, *secret, *what, *to(proxy.port, *prefixes), "--sha", SHA, "--db", database]


def to(port: int, *prefixes: str) -> tuple[str, ...]:
    """Arguments that name a registry of this machine."""
    addresses = ",".join(f"local:{port}/{prefix}" for prefix in prefixes or ("team",))
    return ("--via", f"tcp://127.0.0.1:{port}", "--registries", addresses)


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    """The password where `dagger call` looks for it."""
    monkeypatch.setenv("REGISTRY_PASSWORD", PASSWORD)


@pytest.fixture
def traces() -> Iterator[Traces]:
    """What the engine tells collectors of traces and logs."""
    with collecting() as found:
        yield found


def publish(dagger: Run, folder: Path, *call: str | Path) -> tuple[dict[str, Any], str]:
    """Publish: the report, and all that was printed."""
    finished = dagger(*call, "export", "--path", folder)
    assert finished.returncode == 0, finished.stderr
    report: dict[str, Any] = json.loads((folder / "published.json").read_text())
    return report, finished.stdout + finished.stderr


def test_the_same_bytes_are_in_all_registries_and_the_password_is_nowhere(
    dagger: Run, registry: Registry, clean_database: Path, tmp_path: Path, traces: Traces
) -> None:
    with closed(registry) as proxy:
        report, printed = publish(dagger, tmp_path / "out", *arguments(proxy, clean_database, "one", "two"))
        (image,) = report["images"]
        digest = image["digest"]
        assert [gate["gate"] for gate in image["gates"]] == ["unit tests", "scan"]
        assert registry.check_whole() == {f"{prefix}/repeater:{SHA}": digest for prefix in ("one", "two")}
        references = [f"local:{proxy.port}/{prefix}/repeater@{digest}" for prefix in ("one", "two")]
        assert [place["reference"] for place in image["places"]] == references
        assert all(place["bytes_sent"] > 1_000_000 for place in image["places"])
        listed = (tmp_path / "out" / "references.txt").read_text().splitlines()
        assert listed == [reference.replace("@", f":{SHA}@") for reference in references]
        assert all(reference in printed for reference in listed)
        # What is there is not sent again; a release adds its tags.
        again, more = publish(dagger, tmp_path / "again", *arguments(proxy, clean_database, "one"), "--release")
    (second,) = again["images"]
    assert second["digest"] == digest
    assert second["places"][0]["bytes_sent"] < 100_000
    assert sorted(name for name in registry.check_whole() if name.startswith("one/")) == [
        f"one/repeater:{tag}" for tag in sorted([image["version"], SHA, "latest"])
    ]
    assert set(registry.tags().values()) == {digest}
    manifest = registry.get(f"/v2/one/repeater/manifests/{digest}", headers={"Accept": MANIFEST_TYPE}).json()
    assert {layer["mediaType"] for layer in manifest["layers"]} == {"application/vnd.oci.image.layer.v1.tar+zstd"}
    config = registry.get(f"/v2/one/repeater/blobs/{manifest['config']['digest']}").text
    assert "created_by" in config
    texts = (printed, more, config, json.dumps(manifest), traces.of("publish"))
    assert shown(PASSWORD, *texts, tmp_path / "out", registry.log) == []


@pytest.mark.slow
def test_all_services_are_in_all_registries(
    dagger: Run, registry: Registry, clean_database: Path, tmp_path: Path
) -> None:
    with closed(registry) as proxy:
        report, _ = publish(dagger, tmp_path, *arguments(proxy, clean_database, "one", "two", all_of="repeater,api"))
    digests = {image["service"]: image["digest"] for image in report["images"]}
    assert sorted(digests) == ["api", "repeater"]
    assert registry.check_whole() == {
        f"{prefix}/{service}:{SHA}": digest for prefix in ("one", "two") for service, digest in digests.items()
    }


@pytest.mark.slow
def test_a_bundle_is_sent_as_it_is(
    dagger: Run, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, traces: Traces
) -> None:
    bundle = exported(dagger, tmp_path, "bundle", "--name=dev", "--version=1.2.3")
    with closed(registry) as proxy:
        account = ("--address", f"local:{proxy.port}", "--username", USER, "--secret", "env:REGISTRY_PASSWORD")
        sending: list[str | Path] = ["publish-bundle", "--bundle", bundle, *to(proxy.port, "one", "two")]
        by = ["call", "with-registry-auth", *account, *sending]
        monkeypatch.setenv("REGISTRY_PASSWORD", wrong := "another-word")
        refused = failing(dagger, *by)
        assert "it refuses the credentials" in refused
        assert shown(wrong, refused, traces.of("publishBundle")) == []
        assert registry.repositories() == []
        monkeypatch.setenv("REGISTRY_PASSWORD", PASSWORD)
        sent = dagger(*by)
    assert sent.returncode == 0, sent.stderr
    assert shown(PASSWORD, sent.stdout + sent.stderr, traces.of("publishBundle")) == []
    found = registry.tags()
    assert set(found) == {f"{prefix}/bundles/cowabungaai-dev:1.2.3" for prefix in ("one", "two")}
    assert len(set(found.values())) == 1
    assert all(f"local:{proxy.port}/{tag}@{digest}" in sent.stdout for tag, digest in found.items())
    # Not a broken connection, of which the engine's way to this machine does not tell a client that waits.
    with faulty(registry, Faults(refused_manifests=2)) as proxy:
        again = dagger("call", "publish-bundle", "--bundle", bundle, *to(proxy.port, "three"))
    assert again.returncode == 0, again.stderr
    assert proxy.failures == 2
    assert registry.tags()["three/bundles/cowabungaai-dev:1.2.3"] in found.values()
    wrong = failing(dagger, "call", "publish-bundle", "--bundle", CHECKOUT / "README.md", *to(registry.port))
    assert "README.md: expected a bundle" in wrong


def failing(dagger: Run, *call: str | Path) -> str:
    """What a call that must fail says."""
    finished = dagger(*call)
    assert finished.returncode != 0, finished.stdout
    assert PASSWORD not in finished.stdout + finished.stderr
    said: str = finished.stderr
    return said


def test_a_tag_that_is_not_the_version_of_the_sources_is_refused(dagger: Run) -> None:
    right = dagger("call", "check-tag", "--tag", "v0.1.0")
    assert right.stdout.strip() == "0.1.0", right.stderr
    for tag in ("v0.1.0-rc.1", "0.1.0", "v9.9.9"):
        assert f"--tag: expected v0.1.0, the gateway's version in its pyproject.toml, got '{tag}'" in failing(
            dagger, "call", "check-tag", "--tag", tag
        )


def test_what_is_critical_keeps_an_image_back_in_any_case(dagger: Run, registry: Registry) -> None:
    said = failing(
        dagger,
        "call",
        "publish",
        "--service=repeater",
        *to(registry.port),
        "--sha",
        SHA,
        "--severity=LOW",
        "--db",
        NEVER_READ,
    )
    assert "--severity: CRITICAL keeps an image back in any case" in said
    assert registry.repositories() == []


def test_wrong_credentials_are_told_by_registry_before_anything_is_built(
    dagger: Run, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_PASSWORD", "another-word")
    with closed(registry) as proxy:
        said = failing(dagger, *arguments(proxy, NEVER_READ, "one", "two"))
    for prefix in ("one", "two"):
        address = f"local:{proxy.port}/{prefix}"
        assert f"registry {address}: {address}/repeater: it refuses the credentials of user" in said
    assert "another-word" not in said
    assert registry.repositories() == []
    assert {method for method, _ in proxy.seen} <= {"GET"}, "nothing was begun"


def test_an_image_whose_unit_tests_fail_is_not_published(
    dagger: Run, registry: Registry, clean_database: Path, sources: Path
) -> None:
    (sources / "services" / "repeater" / "tests" / "test_wrong.py").write_text("def test_wrong():\n    assert 1 == 2\n")
    with closed(registry) as proxy:
        call, *rest = arguments(proxy, clean_database)
        said = failing(dagger, call, "--source", sources, *rest)
    assert "nothing was published" in said
    assert "repeater: unit tests of repeater failed in its image" in said
    assert registry.repositories() == []


def test_an_image_with_a_vulnerability_is_not_published_nor_are_others_with_it(
    dagger: Run, registry: Registry, tmp_path: Path
) -> None:
    database = build(tmp_path / "database", [HERE, *ELSEWHERE])
    with closed(registry) as proxy:
        said = failing(dagger, *arguments(proxy, database, all_of="repeater,sdk"))
    assert "nothing was published" in said
    assert HERE.id in said
    assert registry.repositories() == []


@pytest.mark.slow
def test_a_registry_that_is_gone_in_the_middle_has_no_tag_without_blobs_and_the_next_run_finishes(
    dagger: Run, registry: Registry, clean_database: Path, tmp_path: Path
) -> None:
    # Past the two times that access is asked for, and before the last of the blobs; test_push.py has many more points.
    with closed(registry, gone_after=20 * REQUEST_UNITS + 5_000_000) as proxy:
        said = failing(dagger, *arguments(proxy, clean_database))
    assert f"registry local:{proxy.port}/team: local:{proxy.port}/team/repeater" in said
    assert registry.check_whole() == {}
    with closed(registry) as proxy:
        report, _ = publish(dagger, tmp_path / "out", *arguments(proxy, clean_database))
    assert registry.check_whole() == {f"team/repeater:{SHA}": report["images"][0]["digest"]}


def test_an_unknown_registry_is_told_with_those_that_are_known(dagger: Run) -> None:
    said = failing(dagger, "call", "publish", "--service=repeater", "--registries=quay", f"--sha={SHA}")
    assert "no registry is named 'quay'; the registries are: ghcr (ghcr.io/awdemos/cowabungaai), " in said


def test_every_way_to_send_leads_through_the_gates() -> None:
    # Bundles are what an operator hands over: they have no gates of their own.
    sending = [
        path.name
        for path in (CHECKOUT / "dagger/src/cowabungaai").rglob("*.py")
        if re.search(r"(?<!bundles)\.publish\(|\[\"push\"", path.read_text())
    ]
    assert sending == ["publish.py"]
