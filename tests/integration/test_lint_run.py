# SPDX-License-Identifier: Apache-2.0
"""`dagger call lint` and `dagger check` with the tools that the engine compiles, on mistakes in new files."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from harness import CHECKOUT, Run

from cowabungaai.functions.linting import Checks
from cowabungaai.lint import LEFT_OUT

# What is changed in a copy of a package, and how many lines further down it is found. What is new takes part without
# being named.
INCLUDED = '{{ include "cowabungaai.all" (dict "root" . "part" "cowabungaai.backend") }}\n'
UNKNOWN = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndatum: {}\n"
MISTAKES = {
    "helm": ("chart/templates/workload.yaml", INCLUDED, INCLUDED + "{{ .Values.no.image }}\n", 1),
    "kubeconform": ("chart/templates/workload.yaml", INCLUDED, INCLUDED + UNKNOWN, 5),
    "zarf": ("zarf.yaml", "    required: true", "    requird: true", 0),
}
BUNDLE = """\
kind: UDSBundle
metadata:
  name: all
  version: 0.1.0
packages:
  - name: repeater
    path: .
    ref: 0.1.0
    refs: 0.1.0
"""
# What is added, in files of its own or at the end of one, and what is said of it.
ADDED = {
    "hadolint": ("tests/new/Dockerfile", "# SPDX-License-Identifier: Apache-2.0\nFROM debian\n", ":2 DL3006 "),
    "licences": ("tests/new/unlicensed.py", "number = 1\n", ":1: expected the line '# SPDX"),
    "links": ("docs/new.md", "[gone](gone.md)\n", ":1: "),
    "yaml": ("tests/new.yaml", "# SPDX-License-Identifier: Apache-2.0\na: 1\na: 2\n", ":3:1: [error] duplication"),
    "stubs": ("services/sdk/src/cowabungaai_sdk/v1/chat_pb2.py", "\n", ":1: stale"),
}
DEPENDENCIES = "dependencies = ["
WORKFLOW = "on: push\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    step: []\n"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A copy of the checkout, to be changed."""
    target = tmp_path / "repository"
    names = shutil.ignore_patterns(*(pattern.removeprefix("**/") for pattern in LEFT_OUT))
    shutil.copytree(CHECKOUT, target, ignore=names)
    return target


def test_nothing_is_found_in_this_checkout(dagger: Run) -> None:
    finished = dagger("call", "lint")
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.startswith("nothing found by ruff, mypy dagger, ")


def test_mistakes_in_new_files_are_found_side_by_side(dagger: Run, repository: Path) -> None:
    expected = []
    for name, (file, old, new, further) in MISTAKES.items():
        folder = repository / "packages" / f"new-{name}"
        shutil.copytree(repository / "packages" / "repeater", folder)
        text = (folder / file).read_text()
        line = text[: text.index(old)].count("\n") + 1 + further
        (folder / file).write_text(text.replace(old, new, 1))
        expected.append(f"packages/new-{name}/{file}:{line}: ")
    for path, text in (("bundles/new/uds-bundle.yaml", BUNDLE), (".github/workflows/new.yaml", WORKFLOW)):
        (repository / path).parent.mkdir(parents=True, exist_ok=True)
        (repository / path).write_text(text)
    expected += ["bundles/new/uds-bundle.yaml:9: packages.0: ", ".github/workflows/new.yaml:5:5: unexpected key"]
    for path, text, told in ADDED.values():
        (repository / path).parent.mkdir(parents=True, exist_ok=True)
        with (repository / path).open("a") as changed:
            changed.write(text)
        expected.append(f"{path}{told}")
    project = repository / "services/repeater/pyproject.toml"
    text = project.read_text()
    line = text[: text.index(DEPENDENCIES)].count("\n") + 2
    project.write_text(text.replace(DEPENDENCIES, f'{DEPENDENCIES}\n    "absent>=1",', 1))
    expected.append(f"services/repeater/pyproject.toml:{line}: absent>=1: not in ")
    only = [f"--only={name}" for name in (*MISTAKES, *ADDED, "locks", "uds", "actionlint", "services")]
    finished = dagger("call", "lint", "--repository", repository, *only)
    assert finished.returncode != 0
    message = finished.stderr[finished.stderr.rindex("\nError: ") :]
    assert [start for start in expected if start not in message] == [], message
    assert "lint services" not in message


def test_dagger_check_lists_each_check_and_runs_one(dagger: Run) -> None:
    finished = dagger("check", "-l")
    assert finished.returncode == 0, finished.stderr
    listed = set(re.findall(r"\bchecks:([a-z-]+)", finished.stdout))
    assert listed == {name for name, value in vars(Checks).items() if getattr(value, "__dagger_check__", False)}
    finished = dagger("check", "checks:services")
    assert finished.returncode == 0, finished.stderr


def test_an_unknown_check_lists_the_right_ones(dagger: Run) -> None:
    finished = dagger("call", "lint", "--only", "nope")
    assert finished.returncode != 0
    assert "no check is named 'nope'; the checks are: ruff, mypy, mypy dagger, " in finished.stderr
