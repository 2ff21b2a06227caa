# SPDX-License-Identifier: Apache-2.0
"""The key of `./cowabunga serve`: who can read it, and how long it is there."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest

from cowabunga.paths import cache_home
from cowabunga.serving import admin_key

PORT = 8099


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COWABUNGA_HOME", str(tmp_path))


def mode(path: Path) -> int:
    """A path's permissions."""
    return stat.S_IMODE(path.stat().st_mode)


def test_the_file_holds_the_key_for_its_owner_alone() -> None:
    with admin_key(PORT) as (key, file):
        assert file == cache_home() / "run" / "serve" / f"{PORT}.key"
        assert file.read_text() == f"{key}\n"
        assert re.fullmatch("cbai_[0-9A-Za-z]{49}", key)
        assert (mode(file), mode(file.parent)) == (0o600, 0o700)


def test_the_file_is_gone_after_an_interruption() -> None:
    with pytest.raises(KeyboardInterrupt), admin_key(PORT) as (_, file):
        raise KeyboardInterrupt
    assert not file.exists()


def test_a_file_left_behind_is_replaced() -> None:
    old = cache_home() / "run" / "serve" / f"{PORT}.key"
    old.parent.mkdir(parents=True)
    old.write_text("old")
    old.chmod(0o666)
    with admin_key(PORT) as (key, file):
        assert file.read_text() == f"{key}\n"
        assert mode(file) == 0o600


def test_each_run_has_a_key_of_its_own() -> None:
    with admin_key(PORT) as (first, _), admin_key(PORT + 1) as (second, _):
        assert first != second
