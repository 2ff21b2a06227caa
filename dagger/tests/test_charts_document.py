# SPDX-License-Identifier: Apache-2.0
"""The values that docs/charts.md shows are taken by the charts that it shows them for, and every value is explained."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from charts_rendered import ROOT, rendered

pytestmark = pytest.mark.slow
TEXT = (ROOT / "docs/charts.md").read_text()
BLOCKS = re.findall(r"^```yaml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
MODEL = "--set=model.image=ghcr.io/cowabungaai/models/a:1"
CHARTS = ["api", "api", "api", "api", "llama-cpp-python", "api", "vllm", "api"]
COMMENTED = sorted(ROOT.glob("packages/*/chart/values.yaml"))


@pytest.mark.parametrize(("block", "chart"), list(zip(BLOCKS, CHARTS, strict=True)))
def test_values_that_are_shown_are_taken(block: str, chart: str, tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(block)
    needed = () if chart == "api" or "model" in yaml.safe_load(block) else (MODEL,)
    assert rendered(f"packages/{chart}/chart", *needed, f"--values={file}").one("Deployment")


def test_every_value_that_is_named_is_one() -> None:
    """Each name in the first column of the table of values."""
    known: set[str] = set()
    for file in COMMENTED:
        values = yaml.safe_load(file.read_text())
        for part in values.get("exports", {"": values}).values():
            known |= paths(part)
    table = TEXT[TEXT.index("Most wanted:") : TEXT.index("`values/upstream.yaml`")]
    named = [
        name for row in re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE) for name in re.findall(r"`(.+?)`", row)
    ]
    assert len(named) > 20
    assert [name for name in named if name not in known] == []


def paths(values: dict[str, Any], above: str = "") -> set[str]:
    """Names of all values of a tree, with dots between."""
    found = set()
    for name, value in values.items():
        found.add(f"{above}{name}")
        if isinstance(value, dict):
            found |= paths(value, f"{above}{name}.")
    return found


@pytest.mark.parametrize("file", COMMENTED, ids=[file.parts[-3] for file in COMMENTED])
def test_every_value_stands_below_a_comment(file: Path) -> None:
    """A value of its own, that is: what only changes a shared one's default is explained where that stands."""
    shared = {
        name
        for part in yaml.safe_load((ROOT / "packages/common/chart/values.yaml").read_text())["exports"].values()
        for name in part
    }
    indent = 4 if file.parts[-3] == "common" else 0
    own = [
        found
        for found in re.finditer(rf"^ {{{indent}}}(\w[\w-]*):.*\n(?: {{{indent + 1}}}.*\n)*", file.read_text(), re.M)
    ]
    bare = []
    for found in own:
        before = file.read_text()[: found.start()].splitlines()
        # Values that belong together share a comment above the first.
        while before and re.match(rf" {{{indent}}}\w", before[-1]):
            before.pop()
        explained = "#" in found[0] or (before and before[-1].lstrip().startswith("#"))
        if not explained and (indent or found[1] not in shared):
            bare.append(found[1])
    assert bare == []
