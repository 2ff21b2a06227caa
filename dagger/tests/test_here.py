"""What a machine may lack, told from what is wrong."""

from __future__ import annotations

import dagger
import gql
import pytest
from dagger._exceptions import QueryErrorValue

from cowabungaai.errors import CannotBuildError
from cowabungaai.here import naming_what_lacks


def ended(stderr: str) -> dagger.QueryError:
    """A program's end as the engine tells it."""
    facts = {"_type": "EXEC_ERROR", "cmd": ["pip"], "exitCode": 1, "stdout": "Looking for wheels", "stderr": stderr}
    return dagger.QueryError([QueryErrorValue("it failed", extensions=facts)], gql.GraphQLRequest("{ container }"))


@pytest.mark.parametrize(
    "line",
    [
        "ERROR: No matching distribution found for vllm==0.33.0",
        "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
    ],
)
def test_a_lack_is_named(line: str) -> None:
    with pytest.raises(CannotBuildError) as told, naming_what_lacks("vllm", "gpu"):
        raise ended(f"something\n  {line}\nmore")
    assert str(told.value) == f"vllm (gpu) cannot be built here: {line}"


def test_other_failures_stay_what_they_are() -> None:
    with pytest.raises(dagger.ExecError), naming_what_lacks("vllm", "gpu"):
        raise ended("error: invalid syntax")
