# SPDX-License-Identifier: Apache-2.0
"""Commands that documents show call what the module has, and every function of the module is in a document."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import dagger_commands
import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    file
    for pattern in ("README.md", "docs/*.md", "services/*/README.md", "tests/*/README.md", "toolchain/README.md")
    for file in ROOT.glob(pattern)
)
COMMAND = re.compile(r"\bdagger ((?:call|check)\b[^`|#\n]*)")
# Of the module's object, and its constructor.
FIELDS = {"source", "locked", "registry-auth", ""}
# What stands for any function.
ANY = "NAME"


def commands(text: str) -> list[str]:
    """The calls that a document shows, each on one line."""
    found = [match.strip() for match in COMMAND.findall(re.sub(r"\\\n\s*", "", text))]
    return [command for command in found if ANY not in command.split()[:2] and "..." not in command]


def problems(command: str) -> list[str]:
    """What is wrong with a call; a function that is only named needs no arguments."""
    words = shlex.split(command)
    wrong = dagger_commands.problems(words)
    only_named = not any(word.startswith("--") for word in words)
    return [one for one in wrong if not (only_named and " needs --" in one)]


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_documents_commands_are_those_of_the_module(file: Path) -> None:
    wrong = {command: told for command in commands(file.read_text()) if (told := problems(command))}
    assert wrong == {}


def test_wrong_commands_in_documents_are_found() -> None:
    shown = commands(
        "`dagger call nope`, and\n\n    dagger call \\\n        test --services x\n\n    dagger call NAME --help\n"
    )
    assert [problems(command) for command in shown] == [
        ["the module has no function nope"],
        ["test has no argument --services"],
    ]


def test_every_function_is_in_the_table_of_the_pipeline() -> None:
    table = (ROOT / "docs/pipeline.md").read_text().partition("\n## ")[0]
    named = {
        name for cell in re.findall(r"^\| (.+?) \|", table, re.MULTILINE) for name in re.findall(r"`([\w-]+)", cell)
    }
    assert set(dagger_commands.root()) - named - FIELDS == set()
