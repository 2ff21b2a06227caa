# SPDX-License-Identifier: Apache-2.0
"""The committed trace is what its source draws of what was captured, and stands alone."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

SOURCE = Path(__file__).parents[1] / "pipeline_trace.py"
PICTURE, DATA = SOURCE.with_suffix(".svg"), SOURCE.with_suffix(".json")
SVG = "{http://www.w3.org/2000/svg}"
MODULE: dict[str, Any] = runpy.run_path(str(SOURCE))


def test_the_committed_picture_is_what_the_source_draws() -> None:
    described = json.loads(DATA.read_text())
    spans = [MODULE["Span"](**span) for span in described["spans"]]
    assert MODULE["draw"](spans, described["title"]) == PICTURE.read_text(), "write it anew: see pipeline_trace.py"


def test_the_picture_needs_nothing_from_elsewhere_and_knows_both_schemes() -> None:
    text = PICTURE.read_text().replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?:|@import|url\(|href|<script|<image", text)
    assert "prefers-color-scheme: dark" in text
    root = ElementTree.fromstring(PICTURE.read_text())  # noqa: S314 - a file of our own
    width = float((root.get("viewBox") or "").split()[2])
    for bar in root.iter(f"{SVG}rect"):
        assert float(bar.get("x", 0)) + float(bar.get("width", 0)) <= width


def test_steps_are_kept_with_the_longest_of_what_ran_in_them() -> None:
    def span(name: str, start: float, end: float, parent: bytes = b"") -> SimpleNamespace:
        nano = [int(moment * 1e9) for moment in (start, end)]
        return SimpleNamespace(
            name=name, start_time_unix_nano=nano[0], end_time_unix_nano=nano[1], parent_span_id=parent
        )

    told = {
        b"root": span("call", 0, 100),
        b"api": span("build api", 10, 90, b"root"),
        b"call": span("Container.sync", 10, 90, b"api"),
        b"pip": span("withExec pip install", 20, 60, b"call"),
        b"tiny": span("withExec true", 60, 60.5, b"call"),
    }
    scopes = dict.fromkeys(told, "dagger.io/engine") | {b"api": "cowabungaai"}
    found = [(one.name, one.start, one.end, one.depth) for one in MODULE["chosen"](told, scopes)]
    assert found == [("build api", 10.0, 90.0, 0), ("withExec pip install", 20.0, 60.0, 1)]
