# SPDX-License-Identifier: Apache-2.0
"""Linear layers in int8, with accuracy near float32.

Weights are int8 with one scale an output channel. Inputs are 8-bit with one scale a token, so that a text's vector does
not depend on the texts beside it in the batch, as it would with ONNX Runtime's DynamicQuantizeMatMul (one scale a
batch). A few channels of a norm's output are far larger than the others; part of their size is moved into the weights
first, as SmoothQuant does (Xiao et al. 2022, arXiv:2211.10438, with alpha 0.5). How large a channel gets is seen by
running the float32 model on random tokens.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cowabungaai_text_embeddings.files import Array
from cowabungaai_text_embeddings.graph import FUSED, Graph

LEAST = 1e-6
"""The least scale: a token whose numbers are all zero must not be divided by zero."""
ACTIVATION_ZERO = 25
"""What stands for zero after an activation: GELU goes no lower than -0.17, so most of the 256 steps are above it."""
ACTIVATION_LEAST = 1.6
"""The least maximum after an activation; with it the steps below zero, 25/230 of the maximum, reach -0.17."""


class Int8:
    """Linear layers in int8; see Linear.

    Args:
        largest: the largest magnitude of each channel of a layer's input, by the layer's output's name.
    """

    def __init__(self, largest: Mapping[str, NDArray[np.float32]]) -> None:
        self._largest = largest

    def embedding(self, graph: Graph, table: Array, ids: str, output: str) -> str:
        """See Linear; one scale a row."""
        values, scales = _rounded(table)
        rows = graph.add("Gather", [graph.weight(f"{output}_table", values), ids], f"{output}_rows")
        chosen = graph.add("Gather", [graph.weight(f"{output}_scales", scales), ids], f"{output}_scale")
        floats = graph.add("Cast", [rows], f"{output}_floats", to=1)
        return graph.add("Mul", [floats, chosen], output)

    def linear(self, graph: Graph, given: str, weight: Array, output: str, kind: str) -> str:
        """See Linear."""
        if kind == "norm":
            factors = _factors(self._largest[output], weight)
            weight = weight * factors
            given = graph.add("Mul", [given, graph.weight(f"{output}_factors", 1 / factors)], f"{output}_smooth")
        zero = ACTIVATION_ZERO if kind == "activation" else 128
        steps = 255 - zero
        largest = self._scale(graph, given, output, kind)
        unit = graph.add("Div", [given, largest], f"{output}_unit")
        zero_point = graph.scalar(zero, np.uint8)
        step = graph.weight(f"step_{steps}", np.array(1 / steps, np.float32))
        steps_in = graph.add("QuantizeLinear", [unit, step, zero_point], f"{output}_steps")
        values, scales = _rounded(weight)
        names = [
            graph.weight(f"{output}_weight", values.T),
            step,
            graph.weight(f"{output}_scales", scales[:, 0]),
            zero_point,
        ]
        product = graph.add("MatMulIntegerToFloat", [steps_in, *names], f"{output}_product", FUSED)
        return graph.add("Mul", [product, largest], output)

    def _scale(self, graph: Graph, given: str, output: str, kind: str) -> str:
        """Writes the maximum of each token's numbers; of their magnitudes where they can be far below zero."""
        axis = graph.weight("last_axis", np.array([-1], np.int64))
        low = ACTIVATION_LEAST if kind == "activation" else LEAST
        if kind != "activation":
            given = graph.add("Abs", [given], f"{output}_magnitudes")
        found = graph.add("ReduceMax", [given, axis], f"{output}_found", keepdims=1)
        return graph.add("Max", [found, graph.scalar(low, np.float32)], f"{output}_largest")


def _rounded(values: Array) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Rows as int8 and their scales, [rows, 1]."""
    scales = np.maximum(np.abs(values).max(1, keepdims=True), 1e-12) / 127
    return np.rint(values / scales).astype(np.int8), scales.astype(np.float32)


def _factors(largest: NDArray[np.float32], weight: Array) -> NDArray[np.float32]:
    """How many times larger each input channel of a weight becomes, and its input smaller."""
    of_weight = np.maximum(np.abs(weight).max(0), 1e-5)
    found: NDArray[np.float32] = np.sqrt(np.maximum(largest, 1e-3) / of_weight).astype(np.float32)
    return np.maximum(found, np.float32(1e-5))
