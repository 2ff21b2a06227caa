# SPDX-License-Identifier: Apache-2.0
"""Lock files of the images made from Debian packages."""

from __future__ import annotations

import pytest

from cowabunga import images
from cowabunga.errors import LockedError, UsageError


@pytest.mark.parametrize("name", ["debian", "python", "engine", "runtime"])
def test_every_image_has_a_lock(name: str) -> None:
    locked = images.read_lock(images.load(name).lock)
    wanted = {package.split("/")[0] for package in images.load(name).packages}
    assert wanted <= locked.keys()


def test_unknown_image_lists_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        images.load("nope")
    assert "debian, engine, node, python, runtime" in caught.value.hint


def test_drift_warns(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COWABUNGA_LOCKED", raising=False)
    spec = images.load("runtime")
    locked = images.read_lock(spec.lock)
    images.report_drift(spec, locked, locked | {"netbase": "99"}, warn=True)
    assert "netbase" in capsys.readouterr().err


def test_drift_fails_where_only_locked_versions_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COWABUNGA_LOCKED", "1")
    spec = images.load("runtime")
    with pytest.raises(LockedError, match="netbase"):
        images.report_drift(
            spec, images.read_lock(spec.lock), images.read_lock(spec.lock) | {"netbase": "99"}, warn=False
        )
