# SPDX-License-Identifier: Apache-2.0
"""What the launcher asks of a build of all services, and what it leaves of an earlier one."""

from __future__ import annotations

from pathlib import Path

from cowabunga.errors import DiskFullError, JobError
from cowabunga.jobs import Chosen, remove_left_out
from cowabunga.process import classify


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
