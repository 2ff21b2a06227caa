# SPDX-License-Identifier: Apache-2.0
"""Makes what ONNX Runtime runs of a model's folder: in memory at a start, or once and for all in a folder."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from cowabungaai_sdk import manifest as manifests
from cowabungaai_sdk.models import Manifest, ModelError
from cowabungaai_text_embeddings import architectures
from cowabungaai_text_embeddings.encoder import write
from cowabungaai_text_embeddings.engine import HIDDEN, IDS, MASK
from cowabungaai_text_embeddings.files import Array, Weights
from cowabungaai_text_embeddings.folder import CONVERTED, Folder
from cowabungaai_text_embeddings.graph import Float32, Graph
from cowabungaai_text_embeddings.quantize import Int8
from cowabungaai_text_embeddings.sessions import open_session

CALIBRATION_TEXTS, CALIBRATION_TOKENS = 16, 64
"""How many random tokens show how large channels get; more change nothing that counts."""


@dataclass(frozen=True, slots=True)
class Converted:
    """An encoder for ONNX Runtime.

    Args:
        model: the graph, serialised, without its large weights.
        weights: those, by name.
    """

    model: bytes
    weights: Mapping[str, Array]


def convert(folder: Folder, precision: str) -> Converted:
    """Makes an encoder of a folder's safetensors.

    Args:
        folder: the model's.
        precision: int8 or float32.

    Raises:
        ModelError: the architecture is none that is known, or the tensors are not what they should be.
    """
    architecture = folder.architecture()
    weights = Weights(folder.weights)
    graph = write(architecture, weights, Float32())
    if precision == "int8":
        graph = write(architecture, weights, Int8(_largest(graph, architecture)))
    return Converted(graph.model([IDS, MASK], [HIDDEN]).SerializeToString(), graph.outside)


def save(folder: Folder, precision: str, out: Path) -> None:
    """Makes a folder that starts without conversion; half-made ones do not stay.

    Args:
        folder: the model's; everything but its weights is copied. Where it has a manifest, the new folder has one too.
        precision: int8 or float32.
        out: the folder to make; it must not be there yet.

    Raises:
        ModelError: as convert's; or the folder is not what its manifest says, or cannot be made.
    """
    folder.model.verify()
    if not folder.weights:
        raise ModelError(f"{folder.transformer} has no model.safetensors; there is nothing else that is converted")
    if out.exists():
        raise ModelError(f"{out} is there already; name a folder that is not, or remove it")
    staging = out.with_name(f".{out.name}.part")
    try:
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        _fill(staging, folder, convert(folder, precision), CONVERTED[precision])
        staging.rename(out)
    except OSError as error:
        raise ModelError(f"{out} cannot be made: {error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _fill(target: Path, folder: Folder, converted: Converted, name: str) -> None:
    for path in folder.companions():
        copy = target / path.relative_to(folder.path)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    # The transformer need not lie at the top.
    place = target / folder.transformer.relative_to(folder.path)
    place.mkdir(parents=True, exist_ok=True)
    model = onnx.load_from_string(converted.model)
    with (place / f"{name}.data").open("wb") as file:
        for tensor in model.graph.initializer:
            if tensor.name in converted.weights:
                _write(tensor, converted.weights[tensor.name], file, f"{name}.data")
    (place / name).write_bytes(model.SerializeToString())
    if (known := folder.model.manifest) is not None:
        (target / manifests.NAME).write_text(_described(target, known).to_json(), encoding="utf-8")


def _described(target: Path, known: Manifest) -> Manifest:
    """The manifest of what was made, with all that the former one says of the model."""
    kept = {name: getattr(known, name) for name in ("source", "owned_by", "created", "description")}
    return manifests.describe(target, known.id, known.licence, **kept)


def _write(tensor: onnx.TensorProto, values: Array, file: Any, location: str) -> None:
    """Appends a weight to the file, where a page begins: ONNX Runtime maps files into memory by pages."""
    file.seek(-file.tell() % 4096, 1)
    del tensor.external_data[:]
    data = values.tobytes()
    for key, value in (("location", location), ("offset", str(file.tell())), ("length", str(len(data)))):
        tensor.external_data.add(key=key, value=value)
    file.write(data)


def _largest(graph: Graph, architecture: architectures.Architecture) -> dict[str, NDArray[np.float32]]:
    """The largest magnitude of each channel that enters the linear layers after norms, by the layer's output's name."""
    wanted = {
        node.output[0]: node.input[0]
        for node in graph.nodes
        if node.op_type == "MatMul" and node.output[0].startswith(("query_key_value_", "feed_in_"))
    }
    axes = graph.weight("text_axes", np.array([0, 1], np.int64))
    outputs = []
    for name, given in wanted.items():
        magnitudes = graph.add("Abs", [given], f"{name}_magnitudes")
        outputs.append(graph.add("ReduceMax", [magnitudes, axes], f"{name}_largest", keepdims=0))
    session = open_session(graph.model([IDS, MASK], outputs).SerializeToString(), graph.outside, threads=0)
    tokens = min(CALIBRATION_TOKENS, architecture.positions)
    ids = np.random.default_rng(0).integers(0, architecture.vocabulary, (CALIBRATION_TEXTS, tokens), np.int64)
    found = session.run(outputs, {IDS: ids, MASK: np.ones_like(ids)})
    return {name: np.asarray(values, np.float32) for name, values in zip(wanted, found, strict=True)}
