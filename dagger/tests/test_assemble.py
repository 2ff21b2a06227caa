"""Which Debian packages the runtime root is made of."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from cowabungaai.assemble import read_lock, requests

IMAGES = Path(__file__).parents[2] / "toolchain" / "images"
LOCKED = {"libc6": "2.41", "mawk": "1.3"}


def test_locked_versions_are_asked_for() -> None:
    assert requests(LOCKED, [], [], lambda package, version: True) == ["libc6=2.41", "mawk=1.3"]


def test_a_version_that_is_gone_is_replaced_with_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    assert requests(LOCKED, ["mawk"], [], lambda package, version: False) == ["libc6"]
    assert "libc6 2.41 is gone" in capsys.readouterr().err


def test_a_services_own_packages_are_added_once() -> None:
    assert requests(LOCKED, ["mawk"], ["libc6", "espeak-ng"], lambda package, version: True) == [
        "libc6=2.41",
        "espeak-ng",
    ]


def test_what_is_left_out_is_in_the_lock() -> None:
    left_out = yaml.safe_load((IMAGES / "runtime.yaml").read_text())["without"]
    assert set(left_out) <= read_lock((IMAGES / "runtime.lock").read_text()).keys()
