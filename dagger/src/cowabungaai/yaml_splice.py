# SPDX-License-Identifier: Apache-2.0
"""Changes scalars of YAML documents by their place in the structure; every other character stays as it is."""

from __future__ import annotations

import json
import re
import sys
from bisect import bisect_right
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


@dataclass(frozen=True)
class Inside:
    """Where a file holds the text of a scalar, whose lines stand there as they are.

    Attributes:
        line: Of the file, from 0, in which the text begins.
        starts: Of each line, where it begins in the text, and where in the file.
    """

    line: int
    starts: tuple[tuple[int, int], ...]

    def outside(self, edit: Edit) -> Edit:
        """A change of the text as one of the file.

        Args:
            edit: Of the text; what it puts there is in one line, and needs no escape.
        """
        return Edit(self._index(edit.start), self._index(edit.end), edit.text)

    def _index(self, index: int) -> int:
        in_text, in_file = self.starts[bisect_right(self.starts, (index, sys.maxsize)) - 1]
        return in_file + index - in_text


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


def entries(node: yaml.Node | None) -> list[yaml.Node]:
    """The entries of a list; none where it is missing, or something else."""
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def mappings(root: yaml.Node) -> Iterator[yaml.MappingNode]:
    """All mappings of a document, from the top, each once."""
    return (node for node in _nodes(root) if isinstance(node, yaml.MappingNode))


def scalars(root: yaml.Node) -> Iterator[yaml.ScalarNode]:
    """All scalars of a document but keys, from the top, each once."""
    return (node for node in _nodes(root) if isinstance(node, yaml.ScalarNode))


def _nodes(root: yaml.Node) -> Iterator[yaml.Node]:
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        if isinstance(node, yaml.MappingNode):
            waiting += [value for _, value in reversed(node.value)]
        elif isinstance(node, yaml.SequenceNode):
            waiting += reversed(node.value)


def inside(text: str, node: yaml.ScalarNode) -> Inside | None:
    """Where the text of a scalar stands; None where lines are folded or something is escaped.

    Args:
        text: The file's.
        node: In it.
    """
    block = node.style in ("|", ">")
    at, end = _written(text, node)
    if block and (header := LINE_END.search(text, at)):
        at = header.end()
    elif node.style:
        at, end = at + 1, end - 1
    line = text.count("\n", 0, at)
    starts: list[tuple[int, int]] = []
    in_text, indent = 0, None if block else 0
    for expected in node.value.split("\n"):
        line_end = LINE_END.search(text, at, end)
        if line_end is None:
            return None
        written = text[at : line_end.start()]
        margin = len(written) - len(expected) if expected else 0
        if indent is None and expected:
            indent = margin
        # Lines without a text may lack the margin, or have more.
        if written.strip(" ") if not expected else written != " " * (indent or 0) + expected:
            return None
        starts.append((in_text, at + margin))
        in_text, at = in_text + len(expected) + 1, line_end.end()
    return Inside(line, tuple(starts))


def _written(text: str, node: yaml.ScalarNode) -> tuple[int, int]:
    """Where a scalar begins, without anchor and tag, and where it ends."""
    start, end = node.start_mark.index, node.end_mark.index
    properties = PROPERTIES.match(text, start, end)
    return (properties.end() if properties else start), end


def replace(text: str, node: yaml.ScalarNode, value: str) -> Edit | None:
    """Give a scalar another value, in the quotes that it has; None for block scalars, which have none.

    Args:
        text: The file's.
        node: In it.
        value: The new one, without characters that need an escape.
    """
    if node.style not in (None, "'", '"'):
        return None
    start, end = _written(text, node)
    # After the colon of a key without a value there may be no space.
    space = " " if start == end else ""
    return Edit(start, end, f"{space}{node.style}{value}{node.style}" if node.style else f"{space}{plain(value)}")


def plain(value: str) -> str:
    """A text without quotes, or with them where YAML would read it as a number or the like."""
    try:
        same = yaml.safe_load(value) == value
    except (yaml.YAMLError, ValueError):
        # It looks like a mapping that is not closed, or like a date that the calendar does not have.
        same = False
    return value if same else json.dumps(value)


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
