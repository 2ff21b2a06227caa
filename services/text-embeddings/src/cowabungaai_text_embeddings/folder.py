# SPDX-License-Identifier: Apache-2.0
"""A sentence-transformers model's folder: what its files say of the transformer, and of what comes after it."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from cowabungaai_sdk.models import LocalModel, ModelError
from cowabungaai_text_embeddings import architectures
from cowabungaai_text_embeddings.files import below, read_json, read_object
from cowabungaai_text_embeddings.modules import read_module, read_pooling, read_shape, read_width
from cowabungaai_text_embeddings.pooling import Module, Pooling

CONVERTED = {"int8": "encoder_int8.onnx", "float32": "encoder.onnx"}
"""What the converter makes for each precision, and beside it the weights, with `.data` after the name."""

_EXPORTED = {
    "int8": ("onnx/model_int8.onnx", "onnx/model_quantized.onnx", "model_quantized.onnx"),
    "float32": ("onnx/model.onnx", "model.onnx"),
}
"""Where exporters put ONNX files."""
_TEXT_SETTINGS = ("bert", "roberta", "distilbert", "camembert", "xlm-roberta", "xlnet")
"""What stands in the name of the file with a transformer's limits; all but the first are of former versions."""
_HEAVY = (".safetensors", ".bin", ".onnx", ".data", ".onnx_data", ".h5", ".msgpack", ".ot", ".gguf")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


@dataclass(frozen=True)
class Folder:
    """A model's folder. What is wrong in it is a ModelError, raised where it is read.

    Args:
        model: the model on the machine.
    """

    model: LocalModel

    @property
    def path(self) -> Path:
        """The folder itself."""
        return self.model.path

    @cached_property
    def modules(self) -> list[tuple[str, Path]]:
        """The modules' kinds, the last part of their classes' names, and folders, in order; Transformer is the first.

        Raises:
            ModelError: modules.json is missing or wrong.
        """
        path = self.path / "modules.json"
        if not self.path.is_dir() or not path.exists():
            raise ModelError(
                f"{self.path} is no sentence-transformers folder: it has no modules.json, which says how tokens' "
                "vectors become a text's; save the model with sentence-transformers, or add the file"
            )
        found = read_json(path)
        try:
            modules = [(module["type"].rpartition(".")[2], below(self.path, module["path"], path)) for module in found]
        except (TypeError, KeyError, AttributeError):
            raise ModelError(f"{path} is wrong; expected a list of objects with type and path") from None
        if [kind for kind, _ in modules[:2]] != ["Transformer", "Pooling"]:
            kinds = ", ".join(kind for kind, _ in modules) or "nothing"
            raise ModelError(f"{path} has the modules {kinds}; expected Transformer, Pooling and what may follow")
        return modules

    @property
    def transformer(self) -> Path:
        """The transformer's folder: config.json, weights and tokenizer are there."""
        return self.modules[0][1]

    @cached_property
    def config(self) -> dict[str, Any]:
        """The transformer's config.json."""
        return read_object(self.transformer / "config.json")

    def architecture(self) -> architectures.Architecture:
        """The transformer's sizes.

        Raises:
            ModelError: it is of an architecture that is not converted.
        """
        return architectures.read(self.config, str(self.transformer / "config.json"))

    @cached_property
    def weights(self) -> list[Path]:
        """The transformer's safetensors files; none where there are none."""
        single = self.transformer / "model.safetensors"
        if single.exists():
            return [single]
        index = self.transformer / "model.safetensors.index.json"
        if not index.exists():
            return []
        names = read_object(index).get("weight_map")
        if not isinstance(names, dict):
            raise ModelError(f"{index} has no weight_map; copy it there again")
        return sorted({below(self.transformer, str(name), index) for name in names.values()})

    def require_safetensors(self) -> None:
        """Checks that all weights are safetensors: others are pickles, and these may hold code that reading runs.

        Raises:
            ModelError: some are not.
        """
        if not self.weights:
            raise ModelError(
                f"{self.transformer} has no safetensors; expected model.safetensors. Other formats are not read"
            )
        for kind, path in self.modules[1:]:
            other = kind == "Dense" or any(each.suffix in _PICKLES for each in path.glob("*"))
            if other and not (path / "model.safetensors").is_file():
                raise ModelError(f"{path}/model.safetensors is missing; other formats are not read")

    def engine_file(self, precision: str | None) -> Path | None:
        """The ONNX file to run; None where there is none, and where the safetensors are to be converted instead.

        Args:
            precision: int8 or float32; None where either will do: int8 then. What an exporter made, whose accuracy
                nobody knows, is run only where there is nothing to convert.
        """
        precisions = (precision,) if precision else tuple(CONVERTED)
        converted = [CONVERTED[each] for each in precisions]
        exported = [name for each in precisions for name in _EXPORTED[each]]
        convertible = bool(self.weights) and self.config.get("model_type") in architectures.FAMILIES
        names = converted if convertible else [*converted, *exported]
        return next((path for name in names if (path := self.transformer / name).is_file()), None)

    def companions(self) -> Iterator[Path]:
        """All files but the transformer's weights, and the manifest, which names those."""
        modules = [path for _, path in self.modules[1:]]
        for path in sorted(self.path.rglob("*")):
            hidden = any(part.startswith(".") for part in path.relative_to(self.path).parts)
            # An index names weights that stay behind.
            heavy = (path.suffix in _HEAVY or path.name.endswith(".index.json")) and path.parent not in modules
            if path.is_file() and not hidden and not heavy and path.name != "manifest.json":
                yield path

    @cached_property
    def pooling(self) -> Pooling:
        """How a text's vector is made of its tokens'."""
        return read_pooling(self.modules[1][1] / "config.json")

    @property
    def pools_prompts(self) -> bool:
        """Whether the tokens of prompts count in the pooling as those of texts do."""
        return read_object(self.modules[1][1] / "config.json").get("include_prompt", True) is not False

    @cached_property
    def after(self) -> list[Module]:
        """What follows the pooling.

        Raises:
            ModelError: it is nothing that is known, or its files are wrong.
        """
        return [read_module(kind, path) for kind, path in self.modules[2:]]

    @cached_property
    def dimensions(self) -> int:
        """The length of a text's vector."""
        found = read_width(self.modules[1][1] / "config.json") * len(self.pooling.modes)
        for kind, folder in self.modules[2:]:
            if kind == "Dense":
                found = read_shape(folder / "config.json")[0]
        return found

    @cached_property
    def settings(self) -> dict[str, Any]:
        """config_sentence_transformers.json."""
        return read_object(self.path / "config_sentence_transformers.json", missing_ok=True)

    @cached_property
    def text_settings(self) -> dict[str, Any]:
        """The transformer's sentence_bert_config.json, which had other names at times."""
        paths = [self.transformer / f"sentence_{kind}_config.json" for kind in _TEXT_SETTINGS]
        path = next((path for path in paths if path.exists()), None)
        return read_object(path) if path else {}

    @property
    def prompt(self) -> str:
        """What the model wants in front of every text; mostly nothing."""
        name = self.settings.get("default_prompt_name")
        return self.named_prompt(name) if isinstance(name, str) else ""

    def named_prompt(self, name: str) -> str:
        """One of the model's prompts.

        Args:
            name: its name, such as `query`.

        Raises:
            ModelError: it has no such prompt.
        """
        prompts = self.settings.get("prompts") or {}
        if not isinstance(prompts, dict) or not isinstance(prompts.get(name), str):
            known = ", ".join(map(repr, prompts)) or "none"
            raise ModelError(
                f"{self.path} has no prompt {name!r}; it has {known}, in config_sentence_transformers.json"
            )
        return str(prompts[name])

    @cached_property
    def shorter_dimensions(self) -> tuple[int, ...] | bool:
        """The lengths to which vectors may be cut (Matryoshka): those of a list, any, or none, as the model says."""
        listed = self.config.get("matryoshka_dimensions") or self.settings.get("matryoshka_dims")
        if isinstance(listed, list) and all(isinstance(size, int) for size in listed):
            return tuple(listed)
        if self.config.get("is_matryoshka") is True:
            return True
        card = self.path / "README.md"
        head = card.read_text(encoding="utf-8", errors="replace").split("\n---", 1)[0] if card.is_file() else ""
        return "matryoshka" in head.lower()

    @property
    def padding(self) -> int:
        """The token that fills up shorter texts of a batch."""
        found = self.config.get("pad_token_id")
        return found if isinstance(found, int) and found > 0 else 0

    @property
    def vocabulary(self) -> int | None:
        """How many tokens the transformer knows; None where its configuration does not say."""
        found = self.config.get("vocab_size")
        return found if isinstance(found, int) else None

    @cached_property
    def most_tokens(self) -> int:
        """The most tokens of a text, special ones included, as the model says."""
        found = self.text_settings.get("max_seq_length")
        limits = [found] if isinstance(found, int) else []
        limits.append(self.position_limit)
        if not isinstance(found, int):
            length = read_object(self.transformer / "tokenizer_config.json", missing_ok=True).get("model_max_length")
            # Where there is no limit, the file has a number of 30 digits.
            limits += [length] if isinstance(length, int) and length < 10**9 else []
        return min(limits)

    @property
    def position_limit(self) -> int:
        """The most tokens for which the transformer has positions."""
        found = self.config.get("max_position_embeddings")
        if self.config.get("model_type") in architectures.FAMILIES:
            return self.architecture().positions
        return found if isinstance(found, int) else 512
