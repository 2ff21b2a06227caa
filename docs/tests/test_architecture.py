# SPDX-License-Identifier: Apache-2.0
"""The committed picture is the one that its source draws, and it stands alone."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from xml.etree import ElementTree

SOURCE = Path(__file__).parents[1] / "architecture.py"
PICTURE = SOURCE.with_suffix(".svg")
SVG = "{http://www.w3.org/2000/svg}"


def test_the_committed_picture_is_what_the_source_draws() -> None:
    assert runpy.run_path(str(SOURCE))["draw"]() == PICTURE.read_text(), "write it anew: python docs/architecture.py"


def test_the_picture_has_a_title_and_a_description() -> None:
    root = ElementTree.fromstring(PICTURE.read_text())  # noqa: S314 - a file of our own
    named = [root.find(f"{SVG}{name}") for name in ("title", "desc")]
    assert all(part is not None and part.text for part in named)
    assert (root.get("aria-labelledby") or "").split() == [part.get("id") for part in named if part is not None]


def test_the_picture_needs_nothing_from_elsewhere_and_knows_both_schemes() -> None:
    text = PICTURE.read_text().replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?:|@import|url\(|href|<script|<image", text)
    assert "prefers-color-scheme: dark" in text


def test_all_boxes_and_words_are_inside_the_picture() -> None:
    root = ElementTree.fromstring(PICTURE.read_text())  # noqa: S314 - a file of our own
    width, height = map(float, (root.get("viewBox") or "").split()[2:])
    for box in root.iter(f"{SVG}rect"):
        assert float(box.get("x", 0)) + float(box.get("width", 0)) <= width
        assert float(box.get("y", 0)) + float(box.get("height", 0)) <= height
