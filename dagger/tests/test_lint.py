# SPDX-License-Identifier: Apache-2.0
"""The table of checks, and what the check of the lock files finds."""

from __future__ import annotations

from pathlib import Path

import pytest

from cowabungaai.errors import StepError
from cowabungaai.functions.linting import Checks
from cowabungaai.lint import LEFT_OUT, MAX_LINES, Check, chosen, complaint, shortened, table
from cowabungaai.lint.run import CATALOG
from cowabungaai.lint.table import DOCKERFILES, WORKFLOWS
from linters.locks import problems

ROOT = Path(__file__).parents[2]
CHECKS = table(sorted(file.parent.name for file in (ROOT / "services").glob("*/pyproject.toml")))
NAMES = [*(check.name for check in CHECKS), CATALOG]
# Patterns of files of which the repository has none, or not yet.
MAY_BE_NONE = {
    *DOCKERFILES,
    *WORKFLOWS,
    ".github/actions/**",
    ".github/actionlint.yaml",
    "bundles/*/uds-bundle.yaml",
    "**/*.yml",
}
SDK = """\
[project]
name = "cowabungaai-sdk"
dependencies = [
    "grpcio>=1.80",
]
[dependency-groups]
test = ["pytest>=9"]
"""
API = """\
[project]
name = "cowabungaai-api"
dependencies = ["cowabungaai-sdk>=0.1", "PyJWT[crypto]>=2.10"]
"""
FILES = {
    "sdk/pyproject.toml": SDK,
    "sdk/requirements.lock": "grpcio==1.85.3 \\\n    --hash=sha256:00\n",
    "sdk/requirements-test.lock": "grpcio==1.85.3 \\\n    --hash=sha256:00\npytest==9.2.0 \\\n    --hash=sha256:00\n",
    "api/pyproject.toml": API,
    "api/requirements.lock": "grpcio==1.85.3\npyjwt==2.11.0 ; python_full_version < '3.12'\npyjwt==2.12.0\n",
    "api/requirements-test.lock": "",
}


@pytest.fixture
def services(tmp_path: Path) -> Path:
    """Two services whose locks are right."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_no_two_checks_have_the_same_name() -> None:
    assert len(set(NAMES)) == len(NAMES)


def test_dagger_check_has_a_function_for_each_group_of_checks() -> None:
    functions = {name for name, value in vars(Checks).items() if getattr(value, "__dagger_check__", False)}
    assert functions == {name.split()[0] for name in NAMES}


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        ([], NAMES),
        (["ruff", "kubeconform"], ["ruff", "kubeconform"]),
        (["helm"], ["helm", "helm schemas"]),
        (["mypy"], [name for name in NAMES if name.startswith("mypy ")]),
        (["mypy services/api"], ["mypy services/api"]),
    ],
)
def test_checks_are_chosen_by_name_or_group(only: list[str], expected: list[str]) -> None:
    assert chosen(NAMES, only) == expected


def test_an_unknown_check_lists_the_right_ones() -> None:
    with pytest.raises(
        StepError, match=r"no check is named 'myp'; the checks are: ruff, mypy, mypy dagger, .*, services$"
    ):
        chosen(NAMES, ["ruff", "myp"])


def test_what_git_ignores_is_not_looked_at() -> None:
    ignored = {line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines()}
    assert ignored <= {pattern.removeprefix("**/") for pattern in LEFT_OUT}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_what_a_check_needs_is_there(check: Check) -> None:
    tools = [f"toolchain/go/{name}/build.json" for name in check.tools]
    modules = [f"toolchain/go/{file.folder}/go.sum" for file in check.files]
    for pattern in {*check.needs, *check.packages, *check.imports, *tools, *modules} - MAY_BE_NONE:
        assert any(ROOT.glob(pattern)), pattern


def test_of_many_lines_the_first_are_shown_and_the_others_counted() -> None:
    lines = [str(number) for number in range(MAX_LINES + 3)]
    assert shortened(lines) == [*lines[:MAX_LINES], "... and 3 more lines"]
    assert shortened(lines[:MAX_LINES]) == lines[:MAX_LINES]


def test_complete_locks_have_no_problems(services: Path) -> None:
    assert problems(services) == []


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        (
            "api/requirements.lock",
            "pyjwt==2.11.0\n",
            ["{0}/sdk/pyproject.toml:4: grpcio>=1.80: not in {0}/api/requirements.lock"],
        ),
        (
            "api/requirements.lock",
            "grpcio==1.85.3\npyjwt==2.9.0\n",
            ["{0}/api/pyproject.toml:3: PyJWT[crypto]>=2.10: got 2.9.0 in {0}/api/requirements.lock"],
        ),
        (
            "sdk/requirements-test.lock",
            "grpcio==1.85.2\npytest==9.2.0\n",
            ["{0}/sdk/requirements-test.lock: grpcio is 1.85.2, but 1.85.3 in {0}/sdk/requirements.lock"],
        ),
        (
            "sdk/requirements-test.lock",
            "",
            ["{0}/sdk/pyproject.toml:7: pytest>=9: not in {0}/sdk/requirements.lock or {0}/sdk/requirements-test.lock"],
        ),
        (
            "api/requirements.lock",
            "grpcio==1.85.3\n!\n",
            ["{0}/api/requirements.lock:2: expected name==version, got '!'"],
        ),
        (
            "api/pyproject.toml",
            "[project\n",
            [
                "{0}/api/pyproject.toml: expected a [project] with name and dependencies: "
                "Expected ']' at the end of a table declaration (at line 1, column 9)"
            ],
        ),
        (
            "api/pyproject.toml",
            '[project]\nname = "api"\ndependencies = ["a b"]\n',
            ["{0}/api/pyproject.toml: expected a [project] with name and dependencies: Expected"],
        ),
        (
            "sdk/pyproject.toml",
            SDK.replace('["pytest>=9"]', '[{include-group = "none"}]'),
            ["{0}/sdk/pyproject.toml: expected a [project] with name and dependencies: "],
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place(services: Path, file: str, text: str, expected: list[str]) -> None:
    (services / file).write_text(text)
    found = problems(services)
    told = [line.format(services) for line in expected]
    assert [line[: len(start)] for line, start in zip(found, told, strict=False)] == told


def test_missing_lock_is_told(services: Path) -> None:
    (services / "api/requirements.lock").unlink()
    assert problems(services) == [f"{services}/api/requirements.lock: no such file"]


def test_a_command_that_fails_without_a_word_is_told() -> None:
    assert complaint(["ruff", "check", "a b"], 137, "") == [
        "ruff check 'a b' ended with exit code 137, and said nothing"
    ]
    assert complaint(["ruff"], 1, "a.py:1: no\n") == ["a.py:1: no"]
