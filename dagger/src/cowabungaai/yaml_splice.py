# SPDX-License-Identifier: Apache-2.0
"""Changes scalars of YAML documents by their place in the structure; every other character stays as it is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import yaml

# An anchor or a tag in front of a value belongs to its node.
PROPERTIES = re.compile(r"(?:[&!]\S*\s+)*")
LINE_END = re.compile(r"\r?\n|\Z")
MERGE = "<<"
NULL = "tag:yaml.org,2002:null"


@dataclass(frozen=True, order=True)
class Edit:
    """Characters that are replaced.

    Attributes:
        start: Index of the first.
        end: Index after the last; where it is `start`, something is put in between.
        text: What comes in their place.
    """

    start: int
    end: int
    text: str


def documents(text: str) -> list[yaml.Node]:
    """The documents of a file, with places.

    Raises:
        yaml.YAMLError: It is not valid YAML.
    """
    # The loader in C counts bytes, not characters.
    return [node for node in yaml.compose_all(text, Loader=yaml.SafeLoader) if node is not None]


def apply(text: str, edits: Iterable[Edit]) -> str:
    """A text with changes; none overlaps another."""
    for edit in sorted(set(edits), reverse=True):
        text = f"{text[: edit.start]}{edit.text}{text[edit.end :]}"
    return text


def value_of(mapping: yaml.MappingNode, key: str) -> yaml.Node | None:
    """The value of a key, also one that the mapping takes over from another by `<<`."""
    merged: list[yaml.Node] = []
    for found, value in mapping.value:
        if isinstance(found, yaml.ScalarNode):
            if found.value == key:
                return value if isinstance(value, yaml.Node) else None
            if found.value == MERGE:
                merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
    for node in merged:
        if isinstance(node, yaml.MappingNode) and (inherited := value_of(node, key)) is not None:
            return inherited
    return None


def text_of(mapping: yaml.MappingNode, key: str) -> str | None:
    """The text of a key's value; None where it is missing, null or no scalar."""
    node = value_of(mapping, key)
    return str(node.value) if isinstance(node, yaml.ScalarNode) and node.tag != NULL else None


def mappings(root: yaml.Node) -> Iterator[yaml.MappingNode]:
    """All mappings of a document, from the top, each once."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            yield node
            waiting += [value for _, value in reversed(node.value)]
        elif isinstance(node, yaml.SequenceNode):
            waiting += reversed(node.value)


def replace(text: str, node: yaml.ScalarNode, value: str) -> Edit | None:
    """Give a scalar another value, in the quotes that it has; None for block scalars, which have none.

    Args:
        text: The file's.
        node: In it.
        value: The new one, without characters that need an escape.
    """
    if node.style not in (None, "'", '"'):
        return None
    start, end = node.start_mark.index, node.end_mark.index
    properties = PROPERTIES.match(text, start, end)
    start = properties.end() if properties else start
    # After the colon of a key without a value there may be no space.
    space = " " if start == end else ""
    return Edit(start, end, f"{space}{node.style}{value}{node.style}" if node.style else f"{space}{plain(value)}")


def plain(value: str) -> str:
    """A text without quotes, or with them where YAML would read it as a number or the like."""
    return value if yaml.safe_load(value) == value else json.dumps(value)


def insert(text: str, mapping: yaml.MappingNode, after: str, pairs: dict[str, str]) -> Edit:
    """Put keys into a mapping, written as one that it has is.

    Args:
        text: The file's.
        mapping: In it.
        after: A key of its own whose value is a scalar in one line.
        pairs: Key to value.
    """
    key, value = next((key, value) for key, value in mapping.value if key.value == after)
    quote, end = key.style or "", value.end_mark.index

    def written(name: str, one: str) -> str:
        return f"{quote}{name}{quote}: {quote}{one}{quote}" if quote else f"{name}: {plain(one)}"

    if mapping.flow_style:
        return Edit(end, end, "".join(f", {written(name, one)}" for name, one in pairs.items()))
    # After a comment on the same line.
    line_end = LINE_END.search(text, end)
    place = line_end.start() if line_end else len(text)
    newline = "\r\n" if "\r\n" in text else "\n"
    indent = " " * key.start_mark.column
    return Edit(place, place, "".join(f"{newline}{indent}{written(name, one)}" for name, one in pairs.items()))
