# SPDX-License-Identifier: Apache-2.0
"""The engine of the cpu flavor: ONNX Runtime."""

from collections.abc import Sequence

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
from numpy.typing import NDArray

from cowabungaai_sdk.models import ModelError
from cowabungaai_text_embeddings import pooling
from cowabungaai_text_embeddings.engine import HIDDEN, IDS, MASK, Tokens, check, padded
from cowabungaai_text_embeddings.folder import Folder
from cowabungaai_text_embeddings.sessions import open_session

_TYPES = "token_type_ids"
_OUTPUTS = (HIDDEN, "token_embeddings")
"""What exporters name the vectors of tokens."""
_INTEGERS = {"tensor(int32)": np.int32, "tensor(int64)": np.int64}


class OnnxEngine:
    """Runs an ONNX file of the folder, or one that is made of its safetensors in memory.

    Args:
        folder: the model's.
        precision: int8 or float32; None means what the folder's ONNX file is, or int8.
        threads: how many compute one batch; 0 means one a CPU.

    Raises:
        ModelError: the folder's files are not what they should be.
    """

    def __init__(self, folder: Folder, precision: str | None, threads: int) -> None:
        self._folder = folder
        self._session = _session(folder, precision, threads)
        self._inputs = {given.name: _INTEGERS.get(given.type) for given in self._session.get_inputs()}
        fits = {IDS, MASK} <= self._inputs.keys() <= {IDS, MASK, _TYPES} and None not in self._inputs.values()
        outputs = [made.name for made in self._session.get_outputs()]
        chosen = next((name for name in _OUTPUTS if name in outputs), None)
        if chosen is None or not fits:
            raise ModelError(
                f"the ONNX file of {folder.path} has inputs {', '.join(self._inputs)} and outputs "
                f"{', '.join(outputs)}; expected integers {IDS}, {MASK} and perhaps {_TYPES}, and an output {HIDDEN}"
            )
        self._output = chosen
        check(self, folder)

    def vectors(self, texts: Sequence[Tokens]) -> NDArray[np.float32]:
        """See Engine."""
        ids, mask = padded(texts, self._folder.padding)
        given = {IDS: ids, MASK: mask, _TYPES: np.zeros_like(ids)}
        feed = {name: given[name].astype(kind, copy=False) for name, kind in self._inputs.items()}
        hidden: NDArray[np.float32] = self._session.run([self._output], feed)[0]
        return pooling.apply(self._folder.pooling, self._folder.after, hidden, mask)


def _session(folder: Folder, precision: str | None, threads: int) -> onnxruntime.InferenceSession:
    if (path := folder.engine_file(precision)) is not None:
        return open_session(path, threads=threads)
    if not folder.weights:
        other = folder.engine_file(None)
        found = f"{other.name} only, which is not {precision}; choose another --precision" if other else "no weights"
        raise ModelError(
            f"{folder.transformer} has {found}; expected model.safetensors, or an ONNX file. Other formats are not read"
        )
    # Only those who convert pay for this import.
    from cowabungaai_text_embeddings.convert import convert

    made = convert(folder, precision or "int8")
    return open_session(made.model, made.weights, threads=threads)
