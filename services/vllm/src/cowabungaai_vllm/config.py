# SPDX-License-Identifier: Apache-2.0
"""The configuration file: everything about the engine that is not one of the server's own arguments."""

from collections.abc import Hashable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from yaml.constructor import ConstructorError

from cowabungaai_sdk.manifest import ID, ModelError

MAX_BYTES = 1_048_576
OURS = {"model": "--model", "served_model_name": "--model NAME=PATH", "enable_lora": "adapters"}
"""Arguments of the engine that are given in another way, and how."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Adapter(_Strict):
    """A LoRA adapter, which requests choose as a model of its own.

    Args:
        id: the name by which requests choose it.
        path: its folder.
    """

    id: Annotated[str, Field(pattern=f"^{ID.pattern}$")]
    path: Path


class Config(_Strict):
    """What the configuration file says.

    Args:
        engine: any argument of vLLM's AsyncEngineArgs, by its name.
        chat_template: a Jinja template's file; else the tokenizer's own.
        template_arguments: variables that every chat template gets, such as `enable_thinking`.
        tool_call_parser: vLLM's parser of the model's tool calls, such as `hermes`; None refuses tools that the model
            may call as it likes.
        reasoning_parser: vLLM's parser of the model's reasoning, such as `qwen3`.
        adapters: LoRA adapters.
        max_concurrency: requests in the engine at once; None leaves it to the engine, which batches them.
    """

    engine: dict[str, Any] = {}
    chat_template: Path | None = None
    template_arguments: dict[str, Any] = {}
    tool_call_parser: str | None = None
    reasoning_parser: str | None = None
    adapters: tuple[Adapter, ...] = ()
    max_concurrency: Annotated[int, Field(gt=0)] | None = None


class _Loader(yaml.SafeLoader):
    """Refuses a key that is given twice: of such keys PyYAML's own loader takes the last in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            name = (key.tag, str(key.value))
            if name in seen:
                raise ConstructorError(None, None, f"{key.value} is given twice", key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)


def load(file: Path | None) -> Config:
    """Reads the configuration file.

    Args:
        file: YAML; None means that there is none.

    Raises:
        ModelError: it cannot be read, or says something that it must not; the message has a line for each mistake.
    """
    if file is None:
        return Config()
    try:
        if file.stat().st_size > MAX_BYTES:
            raise ModelError(f"{file} is too long for a configuration; expected {MAX_BYTES} bytes at most")
        raw = yaml.load(file.read_text(), Loader=_Loader)  # noqa: S506 - a safe one
        config = Config.model_validate({} if raw is None else raw)
    except OSError as error:
        raise ModelError(f"{file} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        lines = (f"{'.'.join(map(str, one['loc'])) or 'file'}: {one['msg']}" for one in error.errors())
        raise ModelError(f"{file}: " + "; ".join(lines)) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ModelError(f"{file} is not valid YAML: {error}") from error
    _check(config, file)
    return config


def _check(config: Config, file: Path) -> None:
    for name, instead in OURS.items():
        if name in config.engine:
            raise ModelError(f"{file}: engine.{name}: given by {instead} instead")
    if config.chat_template is not None and not config.chat_template.is_file():
        raise ModelError(f"{file}: chat_template: there is no file {config.chat_template}")
    ids = [adapter.id for adapter in config.adapters]
    for adapter in config.adapters:
        if ids.count(adapter.id) > 1:
            raise ModelError(f"{file}: adapters: {adapter.id!r} is there twice")
        if not (adapter.path / "adapter_config.json").is_file():
            raise ModelError(f"{file}: adapters: {adapter.path} has no adapter_config.json; expected a LoRA's folder")


def engine_arguments(config: Config, model: Path, model_id: str, known: Sequence[str]) -> dict[str, Any]:
    """The arguments with which the engine is made.

    Args:
        config: from the file.
        model: the model's folder.
        model_id: its name.
        known: the arguments that this version of vLLM has.

    Raises:
        ModelError: the file names an argument that this version does not have; the message lists similar ones.
    """
    for name in config.engine:
        if name not in known:
            near = get_close_matches(name, known)
            hint = f"; similar ones: {', '.join(near)}" if near else ""
            raise ModelError(f"engine.{name}: this version of vLLM has no such argument{hint}")
    arguments: dict[str, Any] = {"model": str(model), "served_model_name": model_id, **config.engine}
    if config.adapters:
        # Room for every adapter at once, unless the file says otherwise.
        arguments = {"enable_lora": True, "max_loras": len(config.adapters), **arguments}
    return arguments
