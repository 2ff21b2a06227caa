# SPDX-License-Identifier: Apache-2.0
"""What the launcher asks of a long run of dagger, and what it shows of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cowabunga.errors import DiskFullError, JobError
from cowabunga.jobs import SPAN, Chosen, _reason, remove_left_out
from cowabunga.process import classify


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


def test_what_is_chosen_is_what_the_module_is_asked_for() -> None:
    assert Chosen().arguments == ["--flavor=cpu"]
    assert Chosen("gpu", ("a", "b")).arguments == ["--flavor=gpu", "--services=a", "--services=b"]


def test_the_archive_of_what_was_left_out_does_not_stay(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for name in ("vllm-gpu.tar", "api.tar"):
        (tmp_path / "images" / name).touch()
    remove_left_out({"left_out": [{"file": "vllm-gpu.tar"}, {"file": "never-built.tar"}]}, tmp_path)
    assert [path.name for path in (tmp_path / "images").iterdir()] == ["api.tar"]


def test_too_little_room_for_a_service_is_a_full_disk() -> None:
    assert classify("no space left for vllm (gpu): building it takes 45 GB", JobError) is DiskFullError
