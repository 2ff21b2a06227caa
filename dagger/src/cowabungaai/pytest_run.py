# SPDX-License-Identifier: Apache-2.0
"""Runs of pytest in a container: what they leave, and what is told where tests failed."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from xml.etree import ElementTree

import dagger
from dagger import dag
from pydantic import BaseModel, ConfigDict

from cowabungaai.errors import PipelineError, TestFailureError

REPORT = "/report"
JUNIT = "junit.xml"
OUTPUT = "pytest.txt"
SUMMARY = "summary.json"
TAIL_LINES = 40
# Nobody runs what fails more often without changing it.
MAX_ATTEMPTS = 100


class TestSummary(BaseModel):
    """What a run of pytest found; in counts of tests, and seconds.

    Attributes:
        name: What was tested.
        passed: Whether tests ran, and nothing failed.
        tests: All, with those that were skipped.
        failures: Failed tests, with those whose fixtures failed.
        skipped: Tests that did not run.
        seconds: How long the run took.
    """

    __test__ = False  # pytest would take the name for that of a class of tests
    model_config = ConfigDict(frozen=True)

    name: str
    passed: bool
    tests: int
    failures: int
    skipped: int
    seconds: float


class TestReport(BaseModel):
    """Runs of several suites; `schema_version` changes when a reader must change."""

    __test__ = False
    model_config = ConfigDict(frozen=True)

    schema_version: int = 1
    passed: bool
    suites: list[TestSummary]


@dataclass(frozen=True)
class Ran:
    """A finished run.

    Attributes:
        summary: What it found.
        report: junit.xml, pytest.txt, and what else the run was to leave.
        tail: The end of pytest's output.
    """

    summary: TestSummary
    report: dagger.Directory
    tail: str

    def check(self, failure: str) -> Ran:
        """Itself.

        Args:
            failure: What is told where tests failed, before the end of pytest's output.

        Raises:
            TestFailureError: Tests failed.
        """
        if not self.summary.passed:
            raise TestFailureError(f"{failure}:\n{self.tail}")
        return self


def arguments(folder: str, *options: str) -> list[str]:
    """The command that runs the tests of a folder and leaves junit.xml in REPORT.

    Args:
        folder: Of the tests.
        options: Of pytest, besides.
    """
    command = ["python3", "-m", "pytest", "-p", "no:cacheprovider", f"--junit-xml={REPORT}/{JUNIT}"]
    return [*command, *options, folder]


async def run(container: dagger.Container, name: str, command: list[str], *files: str) -> Ran:
    """Run pytest; failing tests are told by what it returns, not by an error.

    The engine keeps a run in its cache, also one that failed. That is right for one that passed: what has not changed
    is not tested again. Failures are not believed twice, since what fails by chance would fail until sources change.

    Args:
        container: With pytest, the tests, and a folder REPORT that it may write to.
        name: What is tested, for the summary.
        command: As `arguments` makes it.
        files: What the report holds besides junit.xml and pytest.txt.

    Raises:
        TestFailureError: pytest did not get so far as to write junit.xml.
    """
    started = datetime.now(UTC)
    for attempt in itertools.count():
        # A number, so that a run that passed in the end is found again, after those before it that failed.
        numbered = container.with_env_variable("COWABUNGAAI_ATTEMPT", str(attempt)) if attempt else container
        ended = await _ended(numbered, command)
        if ended.junit is None:
            # Nothing tells when that was: once more, which is certainly now.
            ended = await _ended(container.with_env_variable("COWABUNGAAI_ATTEMPT", secrets.token_hex(8)), command)
            break
        passed = summarize(name, ended.junit, ended.exit_code).passed
        if passed or began_since(ended.junit, started) or attempt >= MAX_ATTEMPTS:
            break
    if ended.junit is None:
        code = ended.exit_code
        raise TestFailureError(f"tests of {name} did not run, pytest ended with exit code {code}:\n{ended.tail}")
    summary = summarize(name, ended.junit, ended.exit_code)
    kept = ended.report.filter(include=[JUNIT, OUTPUT, *files])
    return Ran(summary, kept.with_new_file(SUMMARY, summary.model_dump_json(indent=2) + "\n"), ended.tail)


@dataclass(frozen=True)
class _Ended:
    exit_code: int
    report: dagger.Directory
    junit: str | None
    tail: str


async def _ended(container: dagger.Container, command: list[str]) -> _Ended:
    ran = container.with_exec(command, redirect_stdout=f"{REPORT}/{OUTPUT}", expect=dagger.ReturnType.ANY)
    code = await ran.exit_code()
    report = ran.directory(REPORT)
    text = await report.file(OUTPUT).contents() + await ran.stderr()
    junit = await report.file(JUNIT).contents() if JUNIT in await report.entries() else None
    return _Ended(code, report, junit, "\n".join(text.splitlines()[-TAIL_LINES:]))


def began_since(junit: str, moment: datetime) -> bool:
    """Whether a run began after a moment, as its junit.xml tells.

    Args:
        junit: The file's content.
        moment: With its time zone.
    """
    suites = ElementTree.fromstring(junit).iter("testsuite")  # noqa: S314 - made by our own run
    times = [datetime.fromisoformat(suite.attrib["timestamp"]) for suite in suites if "timestamp" in suite.attrib]
    # Without a time zone it is the container's, which is UTC.
    return any((time if time.tzinfo else time.replace(tzinfo=UTC)) >= moment for time in times)


def summarize(name: str, junit: str, exit_code: int) -> TestSummary:
    """Count what a junit.xml tells.

    Args:
        name: What was tested.
        junit: The file's content.
        exit_code: pytest's own; a run that found no test, skipped all, or was ended, has not passed.
    """
    suites = list(ElementTree.fromstring(junit).iter("testsuite"))  # noqa: S314 - made by our own run

    def count(attribute: str) -> int:
        return sum(int(suite.attrib.get(attribute, 0)) for suite in suites)

    tests, skipped = count("tests"), count("skipped")
    return TestSummary(
        name=name,
        # pytest is content where all tests are skipped.
        passed=exit_code == 0 and tests > skipped,
        tests=tests,
        failures=count("failures") + count("errors"),
        skipped=skipped,
        seconds=round(sum(float(suite.attrib.get("time", 0)) for suite in suites), 2),
    )


def joined(ran: Mapping[str, Ran]) -> dagger.Directory:
    """A folder for each suite, and summary.json of all.

    Args:
        ran: By name.
    """
    output = dag.directory()
    for name, one in ran.items():
        output = output.with_directory(name, one.report)
    suites = [one.summary for one in ran.values()]
    report = TestReport(passed=all(one.passed for one in suites), suites=suites)
    return output.with_new_file(SUMMARY, report.model_dump_json(indent=2) + "\n")


def ended_well(ended: Mapping[str, Ran | PipelineError], failure: str, *, exit_code: int = 1) -> dict[str, Ran]:
    """The runs of several suites, all of which have ended; what went wrong is told of each that failed.

    Args:
        ended: By name; an error where there was no run.
        failure: What is told before all else.
        exit_code: 0 if failed tests are no error, but only told in the report.

    Raises:
        TestFailureError: Tests of one or more failed, or did not run.
    """
    ran = {name: one for name, one in ended.items() if isinstance(one, Ran)}
    lines = [_told(name, one) for name, one in ended.items() if not (isinstance(one, Ran) and one.summary.passed)]
    if lines and (exit_code or len(ran) < len(ended)):
        raise TestFailureError("\n".join([f"{failure}:", *lines]))
    return ran


def _told(name: str, one: Ran | PipelineError) -> str:
    if isinstance(one, PipelineError):
        return str(one)
    failures, tests, skipped = one.summary.failures, one.summary.tests, one.summary.skipped
    told = f"{failures} of {tests} tests failed" if failures or tests > skipped else f"no test ran, {skipped} skipped"
    return f"{name}: {told}:\n{one.tail}"
