# SPDX-License-Identifier: Apache-2.0
"""The page of a scan: one HTML file that opens without a network, in light and dark, wide and narrow."""

from __future__ import annotations

from cowabungaai import pages
from cowabungaai.scan_summary import Scanned, place, summarise

TEMPLATE = "scan_page.html.j2"


def render(scanned: Scanned, title: str) -> str:
    """The page.

    Args:
        scanned: What was found.
        title: Of what.
    """
    return pages.render(TEMPLATE, summary=summarise(scanned), scanned=scanned, place=place, title=title)
