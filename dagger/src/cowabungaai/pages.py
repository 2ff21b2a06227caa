# SPDX-License-Identifier: Apache-2.0
"""Pages that people read: one HTML file each that opens without a network, in light and dark, wide and narrow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any


def render(template: str, filters: Mapping[str, Callable[..., Any]] | None = None, **values: Any) -> str:
    """A page, or another text.

    Args:
        template: Name of a file of this package that extends page.html.j2.
        filters: Of the template, besides Jinja's own.
        values: What it shows.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader(str(resources.files("cowabungaai").name), "")
    environment = Environment(
        autoescape=template.endswith(".html.j2"),
        loader=loader,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters or {})
    return environment.get_template(template).render(**values) + "\n"
