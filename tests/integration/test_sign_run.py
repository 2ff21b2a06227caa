# SPDX-License-Identifier: Apache-2.0
"""The module's `sign`: what it signs is verified by an operator's means, and signing again changes no package."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from harness import Run, statement

from cowabunga import gotools
from shared.shipped import PASSWORD, Key, Workshop, image

pytestmark = pytest.mark.slow
REFERENCE = "ghcr.io/cowabungaai/demo:0.1.0"
SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def tools(dagger: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """zarf and uds, as the engine builds them."""
    folder = tmp_path_factory.mktemp("tools")
    for name in ("zarf", "uds"):
        finished = dagger("call", "tool", "--name", name, "export", "--path", folder / name)
        assert finished.returncode == 0, finished.stderr
    return folder


def sign(dagger: Run, folder: Path, key: Key, target: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    monkeypatch.setenv("COSIGN_PASSWORD", PASSWORD)
    by = ("--key", f"file:{key.private}", "--key-password", "env:COSIGN_PASSWORD")
    about = ("--sha", SHA, "--parameters", '{"flavor": "cpu"}')
    finished = dagger("call", "sign", "--files", folder, *by, *about, "export", "--path", target)
    return finished.returncode, finished.stderr


def test_packages_are_signed_then_bundled_then_all_is_signed(
    dagger: Run, tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop = Workshop(tools / "zarf", gotools.ensure("courier") / "courier")
    key = workshop.key(tmp_path / "key")
    package = workshop.package(tmp_path / "made", {REFERENCE: image(REFERENCE, {"a": b"a"})}, key=None)
    first, second = tmp_path / "first", tmp_path / "second"
    code, told = sign(dagger, package.parent.parent, key, first, monkeypatch)
    assert code == 0, told
    about = {"name": "cowabungaai-dev", "version": "0.1.0", "architecture": "amd64"}
    signed = {"name": "cowabungaai-demo", "path": str(first / "packages"), "ref": "0.1.0"}
    listed = [{**signed, "publicKey": (first / "cosign.pub").read_text()}]
    definition = {"kind": "UDSBundle", "metadata": about, "packages": listed}
    (tmp_path / "uds-bundle.yaml").write_text(yaml.safe_dump(definition))
    made = ("create", tmp_path, "--confirm", "--no-progress", "-a", "amd64", "-o", first / "bundles")
    workshop.run(tools / "uds", *made)
    code, told = sign(dagger, first, key, second, monkeypatch)
    assert code == 0, told
    assert (second / "packages" / package.name).read_bytes() == (first / "packages" / package.name).read_bytes()
    workshop.run(workshop.courier, "verify", second, "--key", key.public)
    assert (second / "cosign.pub").read_text() == key.public.read_text()
    one, two = (
        statement(folder / "provenance" / f"{package.name}.provenance.sigstore.json") for folder in (first, second)
    )
    assert one == two, "the same things make the same statement"
    assert len(list((second / "provenance").iterdir())) == 2
    (second / "more").write_text("more")
    workshop.run(workshop.courier, "verify", second, "--key", key.public, code=23)


def test_a_bundle_of_any_variant_is_made_of_packages_that_the_key_signed(
    dagger: Run, tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop = Workshop(tools / "zarf", gotools.ensure("courier") / "courier")
    key = workshop.key(tmp_path / "key")
    monkeypatch.setenv("COSIGN_PASSWORD", "wrong")
    making: list[str | Path] = ["call", "bundle", "--name=dev", "--version=1.2.3", f"--key=file:{key.private}"]
    export = ("--key-password", "env:COSIGN_PASSWORD", "export", "--path", tmp_path / "dist/bundles")
    refused = dagger(*making, *export)
    assert (refused.returncode != 0, "cannot be opened with this password" in refused.stderr) == (True, True)
    monkeypatch.setenv("COSIGN_PASSWORD", PASSWORD)
    made = dagger(*making, *export)
    assert made.returncode == 0, made.stderr
    code, told = sign(dagger, tmp_path / "dist", key, tmp_path / "signed", monkeypatch)
    assert code == 0, told
    (bundle,) = (tmp_path / "signed/bundles").glob("*.tar.zst")
    printed = workshop.run(workshop.courier, "verify", bundle, "--key", key.public).stdout
    assert "cowabungaai-repeater" in printed
    config = (tmp_path / "signed/bundles/uds-config.yaml").read_text()
    assert config == (tmp_path / "dist/bundles/uds-config.yaml").read_text()


def test_what_is_not_whole_is_not_signed(
    dagger: Run, tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop = Workshop(tools / "zarf", gotools.ensure("courier") / "courier")
    key = workshop.key(tmp_path / "key")
    code, told = sign(dagger, tmp_path / "key", key, tmp_path / "signed", monkeypatch)
    assert (code != 0, "nothing to sign" in told) == (True, True)
    reference = "ghcr.io/cowabungaai/other:0.1.0"
    package = workshop.package(tmp_path / "made", {reference: image(reference, {"a": b"a"})}, key=None)
    code, told = sign(dagger, package.parent.parent, key, tmp_path / "signed", monkeypatch)
    assert (code != 0, "it calls itself cowabungaai-demo" in told) == (True, True), told
    shutil.rmtree(tmp_path / "made")
    package = workshop.package(tmp_path / "made", {REFERENCE: image(REFERENCE, {"a": b"a"})}, key=None)
    monkeypatch.setattr("test_sign_run.PASSWORD", "wrong")
    code, told = sign(dagger, package.parent.parent, key, tmp_path / "signed", monkeypatch)
    assert (code != 0, "cannot be opened with this password" in told) == (True, True), told
    assert not (tmp_path / "signed").exists()
