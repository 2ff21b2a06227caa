# SPDX-License-Identifier: Apache-2.0
"""Reads YAML files that people write into pydantic models; what is wrong is told with file, line and field."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from yaml.constructor import ConstructorError
from yaml.reader import ReaderError

from cowabungaai.errors import PipelineError

Model = TypeVar("Model", bound=BaseModel)


class _Loader(yaml.SafeLoader):
    """Takes nothing in silence: of a key that is given twice PyYAML's own loader takes the last.

    Values that a type does not have, such as the 30th of February, are told as YAML that is not valid, too.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                name = (key.tag, key.value)
                if name in lines:
                    told = f"{key.value} is given twice, first in line {lines[name]}"
                    raise ConstructorError(None, None, told, key.start_mark)
                lines[name] = key.start_mark.line + 1
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError) as error:
            raise ConstructorError(None, None, f"{node.value!r}: {error}", node.start_mark) from error


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
