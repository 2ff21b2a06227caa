# SPDX-License-Identifier: Apache-2.0
"""What the pipeline changes of its client library: one converter for all calls.

dagger-io 0.21.8 makes a cattrs converter at every step of every chain of calls, a millisecond or two each, although
only objects in an answer need one of their chain's own. It was a third of what Python did in an unchanged `build-all`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from dagger.client import _core

_make_converter = _core.make_converter


class Converter:
    """Stands in for the converter of a chain, which is made where an answer holds objects."""

    def __init__(self, context: _core.Context) -> None:
        """Stand in for that of a chain."""
        self._context = context

    def unstructure(self, value: Any) -> Any:
        """A call's arguments as they are sent."""
        return _shared().unstructure(value)

    def structure(self, value: Any, kind: Any) -> Any:
        """What was answered, as the type that the call returns."""
        plain = value is None or isinstance(value, (str, int, float))
        converter = _shared() if plain else _make_converter(self._context)
        return converter.structure(value, kind)


@cache
def _shared() -> Any:
    return _make_converter(_core.Context())


def share_converter() -> None:
    """Let all chains of calls of this process share one."""
    _core.make_converter = Converter  # type: ignore[assignment]
