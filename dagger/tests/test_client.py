# SPDX-License-Identifier: Apache-2.0
"""Chains of calls share a converter, and say and read what they would with one of their own."""

from __future__ import annotations

from typing import Any

import pytest
from cattrs.preconf.json import make_converter
from dagger import CacheSharingMode, EnvVariable, NetworkProtocol, dag
from dagger.client import _core

from cowabungaai.client import Converter, _make_converter, share_converter

share_converter()


def test_a_chain_makes_no_converter_and_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def chain() -> list[_core.Field]:
        cache = dag.cache_volume("name")
        container = dag.container().with_mounted_cache("/cache", cache, sharing=CacheSharingMode.LOCKED)
        for number in range(20):
            container = container.with_env_variable("N", str(number)).with_exec(["a", str(number)])
        return list(container.with_exposed_port(80, protocol=NetworkProtocol.UDP)._ctx.selections)

    made: list[object] = []

    def counted(**settings: Any) -> object:
        made.append(settings)
        return make_converter(**settings)

    ours = chain()
    monkeypatch.setattr(_core, "make_json_converter", counted)
    chain()
    assert not made
    monkeypatch.setattr(_core, "make_converter", _make_converter)
    own = chain()
    assert len(made) > 40
    assert [(field.name, field.args.keys()) for field in ours] == [(field.name, field.args.keys()) for field in own]
    assert [field.args for field in ours if field.name != "withMountedCache"] == [
        field.args for field in own if field.name != "withMountedCache"
    ]
    assert ours[-1].args["protocol"] == "UDP"
    assert ours[1].args["sharing"] == "LOCKED"


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [("text", str, "text"), (7, int, 7), (None, str | None, None), ("TCP", NetworkProtocol, NetworkProtocol.TCP)],
)
def test_plain_answers_are_read(value: object, kind: object, expected: object) -> None:
    assert Converter(_core.Context()).structure(value, kind) == expected


def test_objects_in_an_answer_belong_to_their_chain() -> None:
    context = _core.Context()
    (read,) = Converter(context).structure([{"_name": "A"}], list[EnvVariable])
    assert isinstance(read, EnvVariable)
    assert read._ctx is context
