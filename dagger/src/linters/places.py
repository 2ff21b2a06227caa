# SPDX-License-Identifier: Apache-2.0
"""Lines of values in YAML documents."""

from __future__ import annotations

from collections.abc import Sequence

import yaml


def line_of(text: str, path: Sequence[str | int]) -> int:
    """Line of a value in a document.

    Args:
        text: One YAML document.
        path: Keys and indexes from the document's root.

    Returns:
        The line of its key, or of the nearest part above where there is no such value; from 1.
    """
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    line = node.start_mark.line + 1 if node else 1
    for part in path:
        found = _child(node, part)
        if found is None:
            break
        line, node = found
    return line


def _child(node: yaml.Node | None, part: str | int) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if str(key.value) == str(part):
                return key.start_mark.line + 1, value
    if isinstance(node, yaml.SequenceNode) and str(part).isdigit() and int(part) < len(node.value):
        item: yaml.Node = node.value[int(part)]
        return item.start_mark.line + 1, item
    return None
