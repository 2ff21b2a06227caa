# SPDX-License-Identifier: Apache-2.0
"""What a machine may lack, told from what is wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import dagger
import gql
import pytest
from dagger._exceptions import QueryErrorValue
from test_catalog import spec

from cowabungaai import check_room
from cowabungaai.catalog import ImageBudget
from cowabungaai.errors import CannotBuildError
from cowabungaai.here import naming_what_lacks

LARGE = spec("vllm").model_copy(update={"image": ImageBudget(budget_mb=6000, room_mb=45_000)})


def ended(stderr: str) -> dagger.QueryError:
    """A program's end as the engine tells it."""
    facts = {"_type": "EXEC_ERROR", "cmd": ["pip"], "exitCode": 1, "stdout": "Looking for wheels", "stderr": stderr}
    return dagger.QueryError([QueryErrorValue("it failed", extensions=facts)], gql.GraphQLRequest("{ container }"))


@pytest.mark.parametrize(
    "line",
    [
        "cause: Because there is no version of vllm==99 and you require vllm==99, we can conclude that ...",
        "cause: Because vllm==0.33.0 has no usable wheels and you require vllm==0.33.0, we can conclude that ...",
        "ERROR: Could not find a version that satisfies the requirement vllm==99 (from versions: 0.32.0, 0.33.0)",
        "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
    ],
)
def test_a_lack_is_named(line: str) -> None:
    with pytest.raises(CannotBuildError) as told, naming_what_lacks(LARGE, "gpu"):
        raise ended(f"something\n  {line}\nmore")
    assert str(told.value) == f"vllm (gpu) cannot be built here: {line}"


@pytest.mark.parametrize(
    "line",
    [
        "error: invalid syntax",
        "cause: tcp connect error",
        "ERROR: Could not find a version that satisfies the requirement vllm==0.33.0 (from versions: none)",
    ],
)
def test_other_failures_stay_what_they_are(line: str) -> None:
    with pytest.raises(dagger.ExecError), naming_what_lacks(LARGE, "gpu"):
        raise ended(line)


def test_a_full_disk_leaves_out_no_service_that_takes_little_of_it() -> None:
    with pytest.raises(dagger.ExecError), naming_what_lacks(spec("small"), "cpu"):
        raise ended("No space left on device")


def test_a_disk_without_room_is_told_in_words_that_are_a_lack() -> None:
    command = [sys.executable, check_room.__file__, "900000000000"]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert asked.returncode == 1
    assert "takes 900000000 GB" in asked.stderr
    with pytest.raises(CannotBuildError), naming_what_lacks(LARGE, "gpu"):
        raise ended(asked.stderr)


def test_a_disk_with_room_is_enough(tmp_path: Path) -> None:
    assert check_room.lacking(tmp_path, 0) is None
