"""The page of a scan: one HTML file that opens without a network, in light and dark, wide and narrow."""

from __future__ import annotations

from importlib import resources

from cowabungaai.scan_summary import Scanned, place, summarise

TEMPLATE = "scan_page.html.j2"


def render(scanned: Scanned, title: str) -> str:
    """The page.

    Args:
        scanned: What was found.
        title: Of what.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(resources.files("cowabungaai").joinpath(TEMPLATE).read_text())
    return template.render(summary=summarise(scanned), scanned=scanned, place=place, title=title) + "\n"
