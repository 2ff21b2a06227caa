"""Reads the models that the gateway offers, from a YAML file or from `NAME=HOST:PORT`."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml
from pydantic import ValidationError

from cowabungaai_api.config import ConfigError, ModelRoute, ModelsFile

Location = tuple[int | str, ...]


def read_models(path: Path) -> tuple[ModelRoute, ...]:
    """Reads the file of models.

    Args:
        path: a YAML file, `models: [{name, backend}]`.

    Raises:
        ConfigError: the file cannot be read or is wrong; one line for each mistake, with file and line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError(f"{path}: cannot be read ({reason}); set COWABUNGAAI_API_CONFIG to a YAML file") from error
    try:
        root = yaml.compose(text, yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or "a character that YAML forbids"
        raise ConfigError(f"{path}:{mark.line + 1 if mark else 1}: not YAML: {reason}") from error
    try:
        models = ModelsFile.model_validate(data).models
    except ValidationError as error:
        raise ConfigError("\n".join(_mistakes(path, root, error))) from error
    for index in _repeated(model.name for model in models):
        loc = ("models", index, "name")
        raise ConfigError(f"{_place(path, root, loc)}: expected a new name; found {models[index].name!r} again")
    return models


def parse_models(specs: Iterable[str]) -> tuple[ModelRoute, ...]:
    """Reads models given without a file.

    Args:
        specs: `NAME=HOST:PORT` each.

    Raises:
        ConfigError: one is of another form, or a name comes twice.
    """
    models = []
    for spec in specs:
        name, _, backend = spec.partition("=")
        try:
            models.append(ModelRoute(name=name, backend=backend))
        except ValidationError as error:
            raise ConfigError(f"model {spec!r}: expected NAME=HOST:PORT, such as repeater=localhost:50051") from error
    for index in _repeated(model.name for model in models):
        raise ConfigError(f"model {models[index].name!r} is given twice; expected distinct names")
    return tuple(models)


def _repeated(names: Iterable[str]) -> Iterator[int]:
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            yield index
        seen.add(name)


def _mistakes(path: Path, root: yaml.Node | None, error: ValidationError) -> Iterator[str]:
    locations = [item["loc"] for item in error.errors()]
    for item in error.errors():
        loc = item["loc"]
        # A list whose items are wrong is reported once more, as too short.
        if not any(other[: len(loc)] == loc and other != loc for other in locations):
            yield f"{_place(path, root, loc)}: {item['msg']}; found {item['input']!r}"


def _place(path: Path, root: yaml.Node | None, loc: Location) -> str:
    """Says where in the file a location of pydantic's is: the nearest node that exists has the line."""
    node, line = root, root.start_mark.line + 1 if root else 1
    for step in loc:
        node = _child(node, step)
        if node is None:
            break
        line = node.start_mark.line + 1
    field = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in loc).lstrip(".")
    return f"{path}:{line}: {field}" if field else f"{path}:{line}"


def _child(node: yaml.Node | None, step: int | str) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == str(step)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        found: yaml.Node = node.value[step]
        return found
    return None
