# SPDX-License-Identifier: Apache-2.0
"""What junit.xml tells of a run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import dagger
import pytest

from cowabungaai.errors import PipelineError, StepError, TestFailureError
from cowabungaai.pytest_run import Ran, TestSummary, began_since, ended_well, summarize

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def junit(**attributes: object) -> str:
    words = {"tests": 12, "failures": 1, "errors": 2, "skipped": 3, "time": 1.25, **attributes}
    inside = " ".join(f'{name}="{value}"' for name, value in words.items())
    return f"<testsuites><testsuite {inside}></testsuite></testsuites>"


def ran(name: str, *, failures: int = 0) -> Ran:
    summary = TestSummary(name=name, passed=not failures, tests=3, failures=failures, skipped=0, seconds=1)
    return Ran(summary, object.__new__(dagger.Directory), f"the end of {name}")


def test_what_did_not_run_hides_no_failed_tests() -> None:
    ended: dict[str, Ran | PipelineError] = {
        "api": ran("api", failures=2),
        "sdk": ran("sdk"),
        "whisper": StepError("test whisper: no wheel"),
    }
    for exit_code in (0, 1):
        with pytest.raises(TestFailureError) as told:
            ended_well(ended, "tests failed", exit_code=exit_code)
        assert str(told.value).splitlines() == [
            "tests failed:",
            "api: 2 of 3 tests failed:",
            "the end of api",
            "test whisper: no wheel",
        ]


def test_failed_tests_are_no_error_where_only_their_report_is_wanted() -> None:
    ended = {"api": ran("api", failures=2), "sdk": ran("sdk")}
    assert ended_well(ended, "tests failed", exit_code=0) == ended
    with pytest.raises(TestFailureError, match="api: 2 of 3 tests failed"):
        ended_well(ended, "tests failed")
    assert ended_well({"sdk": ended["sdk"]}, "tests failed") == {"sdk": ended["sdk"]}


def test_failed_fixtures_are_failures() -> None:
    found = summarize("api", junit(), 1)
    assert (found.passed, found.tests, found.failures, found.skipped, found.seconds) == (False, 12, 3, 3, 1.25)


@pytest.mark.parametrize("code", [1, 2, 5])
def test_a_run_that_found_nothing_or_was_ended_has_not_passed(code: int) -> None:
    assert not summarize("api", junit(tests=0, failures=0, errors=0), code).passed
    assert summarize("api", junit(failures=0, errors=0), 0).passed


def test_a_run_that_skipped_all_has_not_passed() -> None:
    skipped = summarize("api", junit(tests=3, failures=0, errors=0, skipped=3), 0)
    assert not skipped.passed
    with pytest.raises(TestFailureError, match="api: no test ran, 3 skipped:\nthe end"):
        ended_well({"api": Ran(skipped, object.__new__(dagger.Directory), "the end")}, "tests failed")
    assert summarize("api", junit(tests=3, failures=0, errors=0, skipped=2), 0).passed


@pytest.mark.parametrize(
    ("time", "fresh"),
    [
        (NOW, True),
        (NOW + timedelta(seconds=1), True),
        (NOW - timedelta(seconds=1), False),
        ((NOW + timedelta(seconds=1)).astimezone(timezone(timedelta(hours=5))), True),
        ((NOW + timedelta(seconds=1)).replace(tzinfo=None), True),
        ((NOW - timedelta(seconds=1)).replace(tzinfo=None), False),
    ],
)
def test_a_failure_out_of_the_cache_is_told_from_a_new_one(time: datetime, fresh: bool) -> None:
    assert began_since(junit(timestamp=time.isoformat()), NOW) is fresh


def test_a_run_that_tells_no_time_is_not_taken_for_a_new_one() -> None:
    assert not began_since(junit(), NOW)
