# SPDX-License-Identifier: Apache-2.0
"""Reads the modules after the transformer from a folder, in the forms that sentence-transformers has saved them in."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cowabungaai_sdk.models import ModelError
from cowabungaai_text_embeddings.files import Weights, read_object
from cowabungaai_text_embeddings.pooling import ACTIVATIONS, POOLINGS, Dense, Module, Pooling, normalize

# Versions before 6 have one key for each kind of pooling; several are put together in this order.
_FORMER_POOLINGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_VECTOR = "sentence_embedding"
"""The name of a text's vector among what modules give each other."""


def read_pooling(path: Path) -> Pooling:
    """Reads how texts' vectors are made of their tokens'.

    Args:
        path: the Pooling module's config.json.

    Raises:
        ModelError: it asks for a kind of pooling that is not known.
    """
    config = read_object(path)
    former = [key for key, value in config.items() if key.startswith("pooling_mode_") and value]
    given = config.get("pooling_mode")
    if given is None:
        ordered = [name for key, name in _FORMER_POOLINGS.items() if key in former]
        modes = ordered + [key for key in former if key not in _FORMER_POOLINGS]
    else:
        modes = given if isinstance(given, list) else [given]
    if unknown := [str(mode) for mode in modes if mode not in POOLINGS]:
        raise ModelError(f"{path} asks for the pooling {', '.join(unknown)}; expected one of {', '.join(POOLINGS)}")
    # As sentence-transformers does where the file names none.
    return Pooling(tuple(modes) or ("mean",))


def read_width(path: Path) -> int:
    """Reads the width of tokens' vectors.

    Args:
        path: the Pooling module's config.json.

    Raises:
        ModelError: it is not there.
    """
    config = read_object(path)
    found = _size(config, "word_embedding_dimension") or _size(config, "embedding_dimension")
    if not found:
        raise ModelError(f"{path} has no word_embedding_dimension; expected the width of a token's vector")
    return found


def read_module(kind: str, folder: Path) -> Module:
    """Reads a module that follows the pooling.

    Args:
        kind: the last part of its class's name.
        folder: the module's.

    Raises:
        ModelError: it is neither Normalize nor Dense, or one of a kind that is not known.
    """
    if kind not in ("Normalize", "Dense"):
        raise ModelError(f"{folder.parent / 'modules.json'} has the module {kind}; expected Dense and Normalize only")
    path = folder / "config.json"
    config = read_object(path, missing_ok=kind == "Normalize")
    for key in ("module_input_name", "module_output_name"):
        if (config.get(key) or _VECTOR) != _VECTOR:
            raise ModelError(f"{path}: {key} is {config[key]!r}; expected {_VECTOR!r}")
    return normalize if kind == "Normalize" else _dense(path, config)


def read_shape(path: Path) -> tuple[int, int]:
    """Reads the shape of a Dense module's weight, [out, in].

    Args:
        path: the module's config.json.

    Raises:
        ModelError: it is not there.
    """
    config = read_object(path)
    rows, columns = _size(config, "out_features"), _size(config, "in_features")
    if not rows or not columns:
        raise ModelError(f"{path} is wrong; expected the numbers in_features and out_features")
    return rows, columns


def _dense(path: Path, config: dict[str, Any]) -> Dense:
    if config.get("use_residual"):
        raise ModelError(f"{path}: use_residual is true, which is not supported; expected false")
    rows, columns = read_shape(path)
    activation = str(config.get("activation_function", "Tanh") or "Identity").rpartition(".")[2]
    if activation not in ACTIVATIONS:
        known = ", ".join(ACTIVATIONS)
        raise ModelError(f"{path}: activation_function is {activation!r}; expected one of torch's {known}")
    weights = Weights([path.parent / "model.safetensors"])
    bias = weights.tensor("linear.bias", rows) if config.get("bias", True) else None
    return Dense(weights.tensor("linear.weight", rows, columns), bias, activation)


def _size(config: Mapping[str, Any], key: str) -> int:
    """A number of at least 1; 0 where the configuration has none."""
    found = config.get(key)
    return found if isinstance(found, int) and not isinstance(found, bool) and found > 0 else 0
