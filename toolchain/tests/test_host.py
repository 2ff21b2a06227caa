# SPDX-License-Identifier: Apache-2.0
"""What the launcher says on machines that lack something."""

from __future__ import annotations

from pathlib import Path

import pytest

from cowabunga import dagger, host
from cowabunga.errors import HostError

ALL_PACKAGES = ["runc", "slirp4netns", "mmdebstrap"]


@pytest.fixture
def lacking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which nothing that the engine needs is installed."""
    monkeypatch.setattr(host, "missing_packages", lambda: list(ALL_PACKAGES))


@pytest.mark.usefixtures("lacking")
def test_without_root_the_exact_command_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "is_root", lambda: False)
    monkeypatch.setattr(host, "has_apt", lambda: True)
    with pytest.raises(HostError) as caught:
        host.prepare_packages()
    assert caught.value.hint == "As root: apt-get install --no-install-recommends runc slirp4netns mmdebstrap"


@pytest.mark.usefixtures("lacking")
def test_without_apt_the_missing_programs_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "has_apt", lambda: False)
    with pytest.raises(HostError, match=r"lacks: runc, slirp4netns, mmdebstrap"):
        host.prepare_packages()


def test_an_engine_without_root_is_refused_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "is_root", lambda: False)
    with pytest.raises(HostError) as caught:
        host.require_engine_host()
    assert dagger.RUNNER_HOST in caught.value.hint


def test_missing_capabilities_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "is_root", lambda: True)
    monkeypatch.setattr(host, "bounding_capabilities", lambda: ["CAP_CHOWN"])
    with pytest.raises(HostError, match="SYS_ADMIN"):
        host.require_engine_host()


def test_capabilities_are_read_by_the_kernels_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda self: "Name:\tx\nCapBnd:\t0000000000200001\n")
    assert host.bounding_capabilities() == ["CAP_CHOWN", "CAP_SYS_ADMIN"]


def test_a_machine_without_a_debian_archive_is_told_how_to_name_one(monkeypatch: pytest.MonkeyPatch) -> None:
    host.mirrors.cache_clear()
    monkeypatch.delenv("COWABUNGA_DEBIAN_MIRROR", raising=False)
    monkeypatch.setattr(host, "os_release", lambda: {"ID": "fedora"})
    with pytest.raises(HostError) as caught:
        host.mirrors()
    assert "COWABUNGA_DEBIAN_MIRROR" in caught.value.hint


def test_named_mirrors_and_pips_index_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    host.mirrors.cache_clear()
    monkeypatch.setenv("COWABUNGA_DEBIAN_MIRROR", "http://debian.invalid/debian/")
    monkeypatch.setenv("COWABUNGA_DEBIAN_SECURITY_MIRROR", "http://debian.invalid/security")
    monkeypatch.setenv("PIP_INDEX_URL", "http://python.invalid/simple")
    found = host.mirrors()
    host.mirrors.cache_clear()
    assert (found.debian, found.debian_security) == ("http://debian.invalid/debian", "http://debian.invalid/security")
    assert found.environment["UV_DEFAULT_INDEX"] == "http://python.invalid/simple"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with nothing on it but what a test puts there."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("COWABUNGA_ENGINE", raising=False)
    return tmp_path


@pytest.mark.parametrize(("version", "used"), [("v0.21.8", True), ("v0.20.0", False)])
def test_a_dagger_of_the_pinned_version_is_used(programs: Path, version: str, used: bool) -> None:
    cli = programs / "dagger"
    cli.write_text(f"#!/bin/sh\necho 'dagger {version} (registry/engine) linux/amd64'\n")
    cli.chmod(0o755)
    assert dagger.existing_cli() == (cli if used else None)


def test_an_engine_that_is_named_is_used(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(dagger.RUNNER_HOST, "tcp://127.0.0.1:1")
    assert "tcp://127.0.0.1:1" in (dagger.existing_engine() or "")


def test_our_own_engine_can_be_asked_for(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(dagger.RUNNER_HOST, "tcp://127.0.0.1:1")
    monkeypatch.setenv("COWABUNGA_ENGINE", "own")
    assert dagger.existing_engine() is None
