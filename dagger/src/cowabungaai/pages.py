"""Pages that people read: one HTML file each that opens without a network, in light and dark, wide and narrow."""

from __future__ import annotations

from importlib import resources
from typing import Any


def render(template: str, **values: Any) -> str:
    """A page.

    Args:
        template: Name of a file of this package that extends page.html.j2.
        values: What it shows.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader(str(resources.files("cowabungaai").name), "")
    environment = Environment(
        autoescape=True, loader=loader, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(template).render(**values) + "\n"
