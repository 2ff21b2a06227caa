# SPDX-License-Identifier: Apache-2.0
"""What the launcher shows of a long run of dagger, and what it tells of one that failed."""

from __future__ import annotations

import pytest

from cowabunga.dagger import SPAN, _reason


@pytest.mark.parametrize(
    ("line", "service", "end"),
    [
        ("17  : ┆ build api", "api", None),
        ("17  : ┆ ┆ build text-embeddings DONE [1.9s]", "text-embeddings", "DONE"),
        ("25  : build sdk ERROR [1.9s]", "sdk", "ERROR"),
    ],
)
def test_a_services_build_is_recognised(line: str, service: str, end: str | None) -> None:
    found = SPAN.match(line)
    assert found is not None
    assert (found["service"], found["end"]) == (service, end)


@pytest.mark.parametrize("line", ["12  : build --quiet --wheel", "12  : ┆ export layers", "12  : [0.1s] | build api"])
def test_other_lines_are_not(line: str) -> None:
    assert SPAN.match(line) is None


def test_the_reason_is_what_dagger_says_last() -> None:
    lines = ["1  : noise", "Error: FunctionError: no service is named 'x' [traceparent:0a-1b]", "and more"]
    assert _reason(lines) == "no service is named 'x'\nand more"


def test_without_an_error_line_the_last_lines_are_the_reason() -> None:
    assert _reason(["a", "b"]) == "a\nb"
