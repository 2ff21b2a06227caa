# SPDX-License-Identifier: Apache-2.0
"""Which Debian packages the runtime root is made of."""

from __future__ import annotations

from pathlib import Path

import yaml

from cowabungaai.assemble import keep_record, read_lock, requests

IMAGES = Path(__file__).parents[2] / "toolchain" / "images"
LOCKED = {"libc6": "2.41", "mawk": "1.3", "gcc": "14"}


def test_what_is_needed_is_asked_for_with_its_locked_version_and_nothing_else() -> None:
    assert requests(LOCKED, ["mawk", "libc6"], [], lambda package, version: True) == (["libc6=2.41", "mawk=1.3"], [])


def test_a_version_that_is_gone_is_replaced_and_told() -> None:
    wanted, drift = requests(LOCKED, ["libc6", "mawk"], ["mawk"], lambda package, version: False)
    assert wanted == ["libc6"]
    assert drift == ["libc6 2.41 is gone from the mirror"]


def test_what_is_not_locked_is_taken_and_told() -> None:
    wanted, drift = requests(LOCKED, ["libc6", "espeak-ng"], [], lambda package, version: True)
    assert wanted == ["espeak-ng", "libc6=2.41"]
    assert drift == ["espeak-ng is not in the lock file"]


def test_a_package_leaves_its_record_and_the_digest_of_its_archive(tmp_path: Path) -> None:
    archive = tmp_path / "zlib1g.deb"
    archive.write_bytes(b"abc")
    keep_record("Source: zlib\nPackage: zlib1g\nVersion: 1:1.3\nDescription: a\n b\n", archive, tmp_path)
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    record = (tmp_path / "var/lib/dpkg/status.d/zlib1g").read_text()
    assert record == f"Source: zlib\nPackage: zlib1g\nVersion: 1:1.3\nDescription: a\n b\nSHA256: {digest}\n"


def test_what_is_left_out_is_in_the_lock() -> None:
    left_out = yaml.safe_load((IMAGES / "runtime.yaml").read_text())["without"]
    assert set(left_out) <= read_lock((IMAGES / "runtime.lock").read_text()).keys()
