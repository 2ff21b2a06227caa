# SPDX-License-Identifier: Apache-2.0
"""An ONNX graph in the making: nodes and weights, with ONNX Runtime's fused operators.

Weights are held apart from the graph, as arrays: what is written into an ONNX model is limited to 2 GB.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from cowabungaai_text_embeddings.files import Array

OPSET = 18
IR_VERSION = 10
FUSED = "com.microsoft"
"""The domain of ONNX Runtime's own operators."""
INLINE_BYTES = 128
"""Smaller weights lie in the model: ONNX Runtime reads some of them before it knows those outside."""


@dataclass(slots=True)
class Graph:
    """Nodes and weights.

    Args:
        nodes: in the order in which they run.
        weights: by name.
    """

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: dict[str, Array] = field(default_factory=dict)

    def weight(self, name: str, values: Array) -> str:
        """Adds a weight, or a constant.

        Args:
            name: its name; the one that is there stays.
            values: its numbers.

        Returns:
            The name.
        """
        if name not in self.weights:
            self.weights[name] = np.ascontiguousarray(values)
        return name

    def add(self, operator: str, inputs: Sequence[str], output: str, domain: str = "", **attributes: Any) -> str:
        """Adds a node with one output.

        Args:
            operator: its name.
            inputs: names; an empty one is an input left out.
            output: its name.
            domain: FUSED for ONNX Runtime's own operators.
            attributes: of the operator.

        Returns:
            The output's name.
        """
        return self.add_many(operator, inputs, [output], domain, **attributes)[0]

    def add_many(
        self, operator: str, inputs: Sequence[str], outputs: Sequence[str], domain: str = "", **attributes: Any
    ) -> list[str]:
        """Adds a node with several outputs; see add."""
        self.nodes.append(helper.make_node(operator, inputs, outputs, name=outputs[0], domain=domain, **attributes))
        return list(outputs)

    def scalar(self, value: float | bool, kind: type[np.generic]) -> str:
        """Adds a constant number.

        Args:
            value: the number.
            kind: its type.
        """
        return self.weight(f"{kind.__name__}_{value}", np.array(value, kind))

    @property
    def outside(self) -> dict[str, Array]:
        """The weights that the model does not hold."""
        return {name: values for name, values in self.weights.items() if values.nbytes >= INLINE_BYTES}

    def branch(self, output: str) -> onnx.GraphProto:
        """The graph as a branch of another one, whose names it sees.

        Args:
            output: name of its only output.
        """
        made = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
        return helper.make_graph(self.nodes, output, [], [made])

    def model(self, inputs: Sequence[str], outputs: Sequence[str]) -> onnx.ModelProto:
        """The model without its large weights: each is declared to lie outside, in no file that there is.

        Args:
            inputs: names of the inputs, all int64 [texts, tokens].
            outputs: names of the outputs, all float32.
        """
        given = [helper.make_tensor_value_info(name, TensorProto.INT64, ["texts", "tokens"]) for name in inputs]
        made = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
        declared = [_declared(name, values) for name, values in self.weights.items()]
        versions = [helper.make_opsetid("", OPSET), helper.make_opsetid(FUSED, 1)]
        return helper.make_model(
            helper.make_graph(self.nodes, "encoder", given, made, declared),
            opset_imports=versions,
            ir_version=IR_VERSION,
            producer_name="cowabungaai",
        )


def _declared(name: str, values: Array) -> onnx.TensorProto:
    if values.nbytes < INLINE_BYTES:
        return numpy_helper.from_array(values, name)
    tensor = onnx.TensorProto(
        name=name,
        dims=values.shape,
        data_type=helper.np_dtype_to_tensor_dtype(values.dtype),
        data_location=TensorProto.EXTERNAL,
    )
    tensor.external_data.add(key="location", value="weights")
    return tensor


class Linear(Protocol):
    """Writes linear layers into a graph: one implementation a precision."""

    def embedding(self, graph: Graph, table: Array, ids: str, output: str) -> str:
        """Writes a look-up of rows.

        Args:
            graph: gets it.
            table: [rows, width].
            ids: name of the rows' numbers, int64 [texts, tokens].
            output: name of the result.

        Returns:
            The result's name, float32 [texts, tokens, width].
        """

    def linear(self, graph: Graph, given: str, weight: Array, output: str, kind: str) -> str:
        """Writes a product with a layer's weights, without the bias, which the operator after it adds.

        Args:
            graph: gets it.
            given: name of the input, [texts, tokens, in].
            weight: [out, in].
            output: name of the result.
            kind: what the input is: `norm`, `attention` or `activation`.

        Returns:
            The result's name, [texts, tokens, out].
        """


class Float32:
    """Linear layers in float32."""

    def embedding(self, graph: Graph, table: Array, ids: str, output: str) -> str:
        """See Linear."""
        return graph.add("Gather", [graph.weight(f"{output}_table", table), ids], output)

    def linear(self, graph: Graph, given: str, weight: Array, output: str, kind: str) -> str:
        """See Linear."""
        return graph.add("MatMul", [given, graph.weight(f"{output}_weight", weight.T)], output)
