# SPDX-License-Identifier: Apache-2.0
"""Every test has a cache of its own; the real one stays as it is."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("COWABUNGA_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"
