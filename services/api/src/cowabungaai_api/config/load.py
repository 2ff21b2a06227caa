# SPDX-License-Identifier: Apache-2.0
"""Reads the configuration file, YAML or TOML; every mistake is told with its line."""

import re
import tomllib
from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import yaml
from pydantic import ValidationError
from yaml.constructor import ConstructorError

from cowabungaai_api.config.file import Backend, GatewayConfig, Model

Location = tuple[int | str, ...]
MAX_FILE_BYTES = 4 * 1024 * 1024
_TABLE = re.compile(r"^\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"^\s*((?:[A-Za-z0-9_.-]+|\"[^\"]*\"|'[^']*')+)\s*=")


class ConfigError(Exception):
    """The configuration is wrong; the message says where, what was expected, and what was found."""


def read_config(path: Path) -> GatewayConfig:
    """Reads and checks the file.

    Args:
        path: a file whose name ends in .toml, or else of YAML.

    Raises:
        ConfigError: it cannot be read, or is wrong; a line for each mistake.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(f"{path}: is larger than {MAX_FILE_BYTES} bytes")
    try:
        return parse(data.decode(), str(path))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8: byte {error.start}") from error


def parse(text: str, name: str) -> GatewayConfig:
    """Checks a file's content.

    Args:
        text: the content.
        name: the file's name, which tells its format; for messages too.

    Raises:
        ConfigError: it is wrong; a line for each mistake.
    """
    raw, lines = _toml(text, name) if name.endswith(".toml") else _yaml(text, name)
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{name}:1: expected a mapping with 'models' and 'backends'")
    try:
        return GatewayConfig.model_validate(raw)
    except ValidationError as error:
        mistakes = error.errors(include_url=False)
        raise ConfigError("\n".join(_describe(mistake, name, lines) for mistake in mistakes)) from error


def parse_models(specs: Iterable[str]) -> GatewayConfig:
    """Makes a configuration of models given one by one.

    Args:
        specs: each `NAME=BACKEND`, where the backend is an address.

    Raises:
        ConfigError: one is wrong.
    """
    models = []
    for spec in specs:
        name, equals, backend = spec.partition("=")
        if not equals or not name or ":" not in backend:
            raise ConfigError(f"model {spec!r}: expected NAME=HOST:PORT or NAME=URL")
        models.append({"name": name, "backend": backend})
    try:
        return GatewayConfig.model_validate({"models": models})
    except ValidationError as error:
        mistakes = (f"model {_value(m)}: {m['msg']}" for m in error.errors(include_url=False))
        raise ConfigError("\n".join(mistakes)) from error


def _value(mistake: Any) -> str:
    return repr(mistake["input"]) if not isinstance(mistake["input"], Mapping) else ".".join(map(str, mistake["loc"]))


class Lines(Protocol):
    """Finds the line of a place in a document."""

    def of(self, location: Location) -> int:
        """The line, from 1, of the deepest part of a location that the document has.

        Args:
            location: keys and indices from the root.
        """


class _YamlLines:
    def __init__(self, root: yaml.Node | None) -> None:
        self._root = root

    def of(self, location: Location) -> int:
        node = self._root
        line = node.start_mark.line + 1 if node else 1
        for step in location:
            if isinstance(node, yaml.MappingNode):
                found = next(((key, value) for key, value in node.value if key.value == step), None)
                if found is None:
                    return line
                line, node = found[0].start_mark.line + 1, found[1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
                line = node.start_mark.line + 1
            else:
                return line
        return line


class _TomlLines:
    """Knows the lines of tables and keys; what stands inside an inline table or array is on the line of its key."""

    def __init__(self, text: str) -> None:
        self._lines: dict[Location, int] = {(): 1}
        counts: dict[str, int] = {}
        table: Location = ()
        for number, line in enumerate(text.splitlines(), 1):
            if match := _TABLE.match(line):
                table = self._table(match[2], match[1] == "[[", counts)
                self._lines.setdefault(table, number)
            elif match := _KEY.match(line):
                self._lines.setdefault((*table, *_keys(match[1])), number)

    @staticmethod
    def _table(name: str, is_array: bool, counts: dict[str, int]) -> Location:
        """The location of a table; of an array of tables the next element."""
        location: list[int | str] = []
        keys = _keys(name)
        for depth, key in enumerate(keys, 1):
            location.append(key)
            prefix = ".".join(keys[:depth])
            if is_array and depth == len(keys):
                counts[prefix] = counts.get(prefix, -1) + 1
            if prefix in counts:
                location.append(counts[prefix])
        return tuple(location)

    def of(self, location: Location) -> int:
        while location not in self._lines:
            location = location[:-1]
        return self._lines[location]


def _keys(dotted: str) -> list[str]:
    return [part.strip().strip("\"'") for part in re.findall(r"\"[^\"]*\"|'[^']*'|[^.]+", dotted)]


class _Loader(yaml.SafeLoader):
    """Refuses a key that is given twice: of such keys PyYAML's own loader takes the last in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            name = (key.tag, str(key.value))
            if name in lines:
                told = f"{key.value} is given twice, first in line {lines[name]}"
                raise ConstructorError(None, None, told, key.start_mark)
            lines[name] = key.start_mark.line + 1
        return super().construct_mapping(node, deep)


def _yaml(text: str, name: str) -> tuple[Any, Lines]:
    try:
        return yaml.load(text, Loader=_Loader), _YamlLines(yaml.compose(text, Loader=_Loader))  # noqa: S506 - a safe one
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigError(f"{name}:{mark.line + 1 if mark else 1}: not valid YAML: {problem}") from error


def _toml(text: str, name: str) -> tuple[Any, Lines]:
    try:
        return tomllib.loads(text), _TomlLines(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"\(at line (\d+), column \d+\)", str(error))
        line = found[1] if found else str(len(text.splitlines()) or 1)
        raise ConfigError(f"{name}:{line}: not valid TOML: {re.sub(r' [(]at .*', '', str(error))}") from error


def _describe(mistake: Any, name: str, lines: Lines) -> str:
    location: Location = tuple(mistake.get("ctx", {}).get("where") or mistake["loc"])
    field = ".".join(map(str, location))
    message = mistake["msg"]
    if mistake["type"] == "extra_forbidden":
        return f"{name}:{lines.of(location)}: {field}: unknown field; known are {', '.join(_known(location))}"
    plain = mistake["type"] not in ("missing", "reference") and not isinstance(mistake["input"], Mapping | list | tuple)
    got = f", got {mistake['input']!r}" if plain else ""
    return f"{name}:{lines.of(location)}: {field}{': ' if field else ''}{message[:1].lower()}{message[1:]}{got}"


def _known(location: Location) -> list[str]:
    """The fields that there are where an unknown one was found."""
    kind: Any = GatewayConfig
    match location[:-1]:
        case ("models", _):
            kind = Model
        case ("backends", _):
            kind = Backend
        case (str() as first, *rest):
            kind = GatewayConfig.model_fields[first].annotation
            if first == "backends" and len(rest) > 1:
                kind = Backend.model_fields[str(rest[1])].annotation
    return sorted(getattr(kind, "model_fields", {}))
