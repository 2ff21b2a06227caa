# SPDX-License-Identifier: Apache-2.0
"""Workflows of GitHub Actions call what the module has, and keep to the rules; the rules find what is wrong."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import dagger_commands
import pytest
import workflow_rules

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.y*ml"))
ENGINE = json.loads((ROOT / "dagger.json").read_text())["engineVersion"]
RIGHT = f"""\
name: A
on:
  pull_request:
permissions: {{}}
concurrency:
  group: a
  cancel-in-progress: true
jobs:
  a:
    runs-on: ubuntu-24.04
    timeout-minutes: 5
    permissions:
      contents: read
    steps:
      - uses: actions/checkout@{"0" * 40} # v1.2.3
        with:
          persist-credentials: false
      - uses: dagger/dagger-for-github@{"0" * 40} # v1.2.3
        with:
          version: {ENGINE}
      - run: dagger call test --service repeater export --path reports
"""
# Begins what is said of a job that is more, or less, than a call.
ONE_EACH = "a: expected one checkout, one dagger/dagger-for-github and one dagger command; got"


def test_there_are_workflows() -> None:
    names = [file.stem for file in WORKFLOWS]
    assert names == ["conformance", "main", "nightly", "pull-request", "release", "verify"]


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_workflow_keeps_to_the_rules(file: Path) -> None:
    assert workflow_rules.problems(file.read_text(), ENGINE) == []


def test_the_right_workflow_is_right() -> None:
    assert workflow_rules.problems(RIGHT, ENGINE) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("pull_request:", "pull_request_target:", "pull_request_target gives a fork's code the repository's rights"),
        ("name: A", "name: A\nenv: {TOKEN: '${{ secrets.A }}'}", "secrets in what runs for pull requests"),
        ("permissions: {}\n", "", "expected permissions at the top that write nothing"),
        ("permissions: {}", "permissions: {contents: write}", "expected permissions at the top that write nothing"),
        ("permissions: {}", "permissions: write-all", "expected permissions at the top that write nothing"),
        ("  cancel-in-progress: true\n", "", "expected concurrency with group and cancel-in-progress"),
        ("    permissions:\n      contents: read\n", "", "a: expected permissions"),
        ("    timeout-minutes: 5\n", "", "a: expected timeout-minutes"),
        (
            "      contents: read\n",
            "      contents: write\n",
            "a: it may write contents and does nothing for which it needs that",
        ),
        (
            "      contents: read\n",
            "      actions: write\n",
            "a: it may write actions and does nothing for which it needs that",
        ),
        (
            f"checkout@{'0' * 40} # v1.2.3",
            "checkout@v1 # v1.2.3",
            "line 15: expected uses: NAME@<40 hex digits> # vX.Y.Z, got '- uses: actions/checkout@v1 # v1.2.3'",
        ),
        (
            f"github@{'0' * 40} # v1.2.3",
            f"github@{'0' * 40}",
            f"line 18: expected uses: NAME@<40 hex digits> # vX.Y.Z, got '- uses: dagger/dagger-for-github@{'0' * 40}'",
        ),
        (f"version: {ENGINE}", "version: v0.1.0", f"a: expected version {ENGINE} of dagger, as in dagger.json"),
        ("credentials: false", "credentials: true", "a: expected a checkout with persist-credentials: false"),
        ("--path reports", "--path ${{ github.ref_name }}", "a: an expression inside a script; give it as a variable"),
        ("dagger call", "echo", f"{ONE_EACH} 1 checkouts, 1 of dagger/dagger-for-github, 0 dagger commands"),
        (
            "- run: ",
            "- run: dagger check\n      - run: ",
            f"{ONE_EACH} 1 checkouts, 1 of dagger/dagger-for-github, 2 dagger commands",
        ),
        (
            f"actions/checkout@{'0' * 40}",
            f"other/checkout@{'0' * 40}",
            f"{ONE_EACH} 0 checkouts, 1 of dagger/dagger-for-github, 1 dagger commands",
        ),
        (
            "test --service",
            "tests --service",
            "a: dagger call tests --service repeater export --path reports: the module has no function tests",
        ),
    ],
)
def test_what_is_wrong_with_a_workflow_is_found(old: str, new: str, expected: str) -> None:
    assert old in RIGHT
    assert expected in workflow_rules.problems(RIGHT.replace(old, new), ENGINE)


def test_a_workflow_that_is_called_has_no_concurrency_of_its_own() -> None:
    called = RIGHT.replace("pull_request:", "workflow_call:")
    assert workflow_rules.problems(called, ENGINE) == ["concurrency in what is called would wait for its caller"]
    called = called.replace("concurrency:\n  group: a\n  cancel-in-progress: true\n", "")
    assert workflow_rules.problems(called, ENGINE) == []


def test_a_job_may_call_a_workflow_of_ours() -> None:
    head, _, _ = RIGHT.partition("jobs:")
    job = "jobs:\n  a:\n    permissions: {}\n    uses: ./.github/workflows/verify.yaml\n"
    assert workflow_rules.problems(head + job, ENGINE) == []


def test_secrets_need_an_environment() -> None:
    text = RIGHT.replace("pull_request:", "push:").replace(
        "    steps:", "    env: {TOKEN: '${{ secrets.A }}'}\n    steps:"
    )
    assert workflow_rules.problems(text, ENGINE) == ["a: secrets outside an environment"]
    assert workflow_rules.problems(text.replace("    steps:", "    environment: e\n    steps:"), ENGINE) == []


def test_a_command_in_lines_is_read_whole() -> None:
    text = RIGHT.replace("run: dagger call test ", "run: |\n          dagger call \\\n            test --nope ")
    assert any(line.endswith("test has no argument --nope") for line in workflow_rules.problems(text, ENGINE))


@pytest.mark.parametrize(
    "command",
    [
        "check",
        "check checks:ruff",
        "check checks:*",
        "--progress plain call services name",
        "call --locked build-all --flavor gpu --services=vllm export --path dist",
        "call build --service api file --path /etc/passwd contents",
        "call checks ruff",
        "call build-for-env --environment staging export --path dist",
        "call lint --only ruff --only mypy",
        "call tool --name zarf export --path zarf",
    ],
)
def test_right_commands_are_right(command: str) -> None:
    assert dagger_commands.problems(shlex.split(command)) == []


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("up", "expected dagger call or dagger check, got dagger up"),
        ("call", "no function is called"),
        ("call nope", "the module has no function nope"),
        ("call --nope build-all", "the module has no argument --nope"),
        ("call build_all", "the module has no function build_all"),
        ("call test", "test needs --service"),
        ("call test --service", "test: --service has no value"),
        ("call test --service api export", "export needs --path"),
        ("call test --service api exports --path a", "test has no function exports"),
        ("call test --service api export --path a --nope", "export has no argument --nope"),
        (
            "call build-for-env --environment stage",
            "build-for-env: --environment is none of development, staging, production: stage",
        ),
        ("call lint export --path a", "lint has no function export"),
        ("call services nope", "services has no function nope"),
        ("check checks:nope", "no check is named checks:nope"),
    ],
)
def test_wrong_commands_are_found(command: str, expected: str) -> None:
    assert dagger_commands.problems(shlex.split(command)) == [expected]


def test_queries_are_checked() -> None:
    assert dagger_commands.wrong_query("{ services { name kind budgetMb } }") == []
    assert dagger_commands.wrong_query("{ service { name } }") == ["no field service"]
    assert dagger_commands.wrong_query("{ services { name nope } }") == ["no field nope"]
