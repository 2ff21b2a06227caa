# SPDX-License-Identifier: Apache-2.0
"""The gateway's lines for backends, decided without an engine."""

from __future__ import annotations

from test_catalog import spec

from cowabungaai.stack import routes_to


def test_a_backend_without_models_answers_under_its_name() -> None:
    assert routes_to(spec("thing"), []) == [{"name": "thing", "backend": "thing:50051"}]


def test_a_backend_with_models_answers_under_its_name_and_theirs() -> None:
    assert routes_to(spec("thing"), ["small", "large"]) == [
        {"name": "thing", "backend": "thing:50051", "backend_model": "small"},
        {"name": "small", "backend": "thing:50051"},
        {"name": "large", "backend": "thing:50051"},
    ]


def test_a_model_of_the_backends_own_name_is_there_once() -> None:
    assert [route["name"] for route in routes_to(spec("thing"), ["thing"])] == ["thing"]
