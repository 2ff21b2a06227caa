# SPDX-License-Identifier: Apache-2.0
"""Which tools can be run by name."""

from __future__ import annotations

import pytest

from cowabunga import gotools, tools
from cowabunga.errors import UsageError


@pytest.mark.parametrize(
    ("name", "message"),
    [("nope", "no tool is named 'nope'"), ("kubernetes", "kubernetes is no program of its own")],
)
def test_what_is_no_program_is_refused_before_anything_is_built(
    name: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gotools, "ensure", lambda name: pytest.fail(f"{name} is built"))
    with pytest.raises(UsageError, match=message):
        tools.program(name)
