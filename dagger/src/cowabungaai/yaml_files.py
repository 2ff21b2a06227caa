# SPDX-License-Identifier: Apache-2.0
"""Reads YAML files that people write into pydantic models; what is wrong is told with file, line and field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from yaml.reader import ReaderError

from cowabungaai.errors import PipelineError

Model = TypeVar("Model", bound=BaseModel)
TIMESTAMP = "tag:yaml.org,2002:timestamp"


class _Loader(yaml.SafeLoader):
    """Leaves a date that the calendar does not have as it is written: the model tells it with line and field."""

    def date_or_text(self, node: yaml.ScalarNode) -> Any:
        """What a date is read as."""
        try:
            return self.construct_yaml_timestamp(node)
        except ValueError:
            return node.value


_Loader.add_constructor(TIMESTAMP, _Loader.date_or_text)


def parse(text: str, file: str, model: type[Model], error_type: type[PipelineError], expected: str) -> Model:
    """Read a file whose top is a mapping.

    Args:
        text: Its content.
        file: Its path, for messages.
        model: What it is read into.
        error_type: What is raised where it is not valid.
        expected: What the mapping is of, for messages.

    Raises:
        PipelineError: It is not valid; the message has a line per mistake: file, line, field, what was expected.
    """
    try:
        raw = yaml.load(text, Loader=_Loader)  # noqa: S506 - it is a safe one
        tree = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        line, problem = problem_of(error, text)
        raise error_type(f"{file}:{line}: not valid YAML: {problem}") from error
    # Of a key that is given twice PyYAML takes the last in silence.
    if repeated := [f"{file}:{line}: {key} is given twice, first in line {first}" for key, first, line in _twice(tree)]:
        raise error_type("\n".join(repeated))
    if not isinstance(raw, Mapping):
        raise error_type(f"{file}:1: expected a mapping of {expected}")
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        problems = (_describe(problem, file, tree) for problem in error.errors())
        raise error_type("\n".join(problems)) from error


def problem_of(error: yaml.YAMLError, text: str) -> tuple[int, str]:
    """Line, from 1, and what is wrong there.

    Args:
        error: That reading a document ended with.
        text: The document.
    """
    if isinstance(error, ReaderError):
        # It has a position in place of a line, and a number in place of what cannot be shown.
        return text.count("\n", 0, error.position) + 1, f"character U+{error.character:04X}: {error.reason}"
    mark = getattr(error, "problem_mark", None)
    return mark.line + 1 if mark else 1, getattr(error, "problem", None) or str(error).splitlines()[0]


def line_of(node: yaml.Node | None, location: tuple[int | str, ...]) -> int:
    """Line, from 1, of the deepest part of a location that a document has.

    Args:
        node: The document's root.
        location: Keys and positions that lead to the part.
    """
    line = node.start_mark.line + 1 if node else 1
    for part in location:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == part), None)
            if not found:
                return line
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            return line
    return line


def _describe(problem: Mapping[str, Any], file: str, tree: yaml.Node | None) -> str:
    location = tuple(part for part in problem["loc"])
    field = ".".join(str(part) for part in location)
    got = "" if problem["type"] == "missing" else f", got {problem['input']!r}"
    return f"{file}:{line_of(tree, location)}: {field}: {problem['msg'][:1].lower()}{problem['msg'][1:]}{got}"


def _twice(root: yaml.Node | None) -> Iterator[tuple[str, int, int]]:
    """Keys that a mapping has more than once, with the lines of the first and of the other."""
    left, seen = [root], set[int]()
    while left:
        node = left.pop()
        if id(node) in seen or not isinstance(node, yaml.CollectionNode):
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            left += node.value
            continue
        first: dict[str, int] = {}
        for key, value in node.value:
            left += [key, value]
            if isinstance(key, yaml.ScalarNode):
                line = key.start_mark.line + 1
                if key.value in first:
                    yield key.value, first[key.value], line
                first.setdefault(key.value, line)
