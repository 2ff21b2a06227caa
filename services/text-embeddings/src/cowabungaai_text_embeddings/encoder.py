# SPDX-License-Identifier: Apache-2.0
"""Writes an encoder of the BERT family as an ONNX graph."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cowabungaai_text_embeddings.architectures import Architecture, prefix
from cowabungaai_text_embeddings.engine import HIDDEN, IDS, MASK
from cowabungaai_text_embeddings.files import Weights
from cowabungaai_text_embeddings.graph import FUSED, Graph, Linear

RELATIVE_BUCKETS, RELATIVE_DISTANCE = 32, 128
"""Of MPNet: how many relative positions are told apart, and from which distance on all are alike."""


def write(architecture: Architecture, weights: Weights, linear: Linear) -> Graph:
    """Writes an encoder.

    Args:
        architecture: its sizes.
        weights: its tensors.
        linear: writes its linear layers.

    Raises:
        ModelError: a tensor is missing or has another shape.
    """
    writer = _Writer(architecture, weights, linear)
    hidden = writer.embeddings()
    for number in range(architecture.layers):
        hidden = writer.layer(number, hidden)
    # Named by a node of its own, so that the last layer is like the others.
    writer.graph.add("Identity", [hidden], HIDDEN)
    return writer.graph


class _Writer:
    def __init__(self, architecture: Architecture, weights: Weights, linear: Linear) -> None:
        self.graph = Graph()
        self._sizes = architecture
        self._layout = architecture.layout
        self._weights = weights
        self._linear = linear
        self._prefix = prefix(list(weights), architecture, weights.name)
        self._bias = self._relative_bias() if self._layout.relative else ""
        # Exports have inputs of int64 as a rule, and fused attention has its mask in int32.
        self._mask = self.graph.add("Cast", [MASK], "mask_int32", to=6)
        least = self.graph.add("ReduceMin", [self._mask], "least_mask", keepdims=0)
        self._full = self.graph.add("Cast", [least], "full", to=9)

    def embeddings(self) -> str:
        """Writes tokens, positions and their norm; the name of the result."""
        sizes, graph = self._sizes, self.graph
        words = self._tensor("embeddings.word_embeddings.weight", sizes.vocabulary, sizes.width)
        rows = sizes.first_position + sizes.positions
        positions = self._tensor("embeddings.position_embeddings.weight", rows, sizes.width)[sizes.first_position :]
        if self._layout.types:
            # All tokens are of the first type.
            positions = positions + self._tensor(self._layout.types, None, sizes.width)[0]
        count = graph.add("Shape", [IDS], "token_count", start=1, end=2)
        start = graph.weight("zeros", np.zeros(1, np.int64))
        ranked = graph.add("Slice", [graph.weight("positions", positions), start, count, start], "positions_used")
        return self._norm(
            self._linear.embedding(graph, words, IDS, "words"), ranked, "embeddings.LayerNorm", "embedded"
        )

    def layer(self, number: int, hidden: str) -> str:
        """Writes one layer; the name of the result."""
        layout, sizes, graph = self._layout, self._sizes, self.graph
        at, width = layout.layer.format(number), sizes.width
        mixed = self._attention(number, hidden)
        weight, bias = self._layer_tensors(f"{at}{layout.attention_out}", width, width)
        product = self._linear.linear(graph, mixed, weight, f"attended_{number}", "attention")
        middle = self._norm(product, hidden, f"{at}{layout.attention_norm}", f"middle_{number}", bias)
        weight, bias = self._layer_tensors(f"{at}{layout.feed_in}", sizes.feed_width, width)
        product = self._linear.linear(graph, middle, weight, f"feed_in_{number}", "norm")
        active = self._activation(product, bias, f"active_{number}")
        weight, bias = self._layer_tensors(f"{at}{layout.feed_out}", width, sizes.feed_width)
        product = self._linear.linear(graph, active, weight, f"feed_out_{number}", "activation")
        return self._norm(product, middle, f"{at}{layout.feed_norm}", f"hidden_{number}", bias)

    def _attention(self, number: int, hidden: str) -> str:
        at, width, graph = self._layout.layer.format(number), self._sizes.width, self.graph
        names = (self._layout.query, self._layout.key, self._layout.value)
        pairs = [self._layer_tensors(f"{at}{name}", width, width) for name in names]
        weight, bias = (np.concatenate(found) for found in zip(*pairs, strict=True))
        product = self._linear.linear(graph, hidden, weight, f"query_key_value_{number}", "norm")
        parts = graph.add_many("Split", [product], [f"{name}_{number}" for name in "qkv"], axis=2, num_outputs=3)
        inputs = [*parts, graph.weight(f"query_key_value_{number}_bias", bias)]
        # Without a mask ONNX Runtime computes attention in blocks; memory grows with the length, not its square.
        branches: dict[str, Any] = {}
        for branch, mask in (("then_branch", ""), ("else_branch", self._mask)):
            inner, made = Graph(), f"{branch}_{number}"
            inner.add("MultiHeadAttention", [*inputs, mask, self._bias], made, FUSED, num_heads=self._sizes.heads)
            branches[branch] = inner.branch(made)
        return graph.add("If", [self._full], f"mixed_{number}", **branches)

    def _relative_bias(self) -> str:
        """Writes MPNet's biases of attention, [1, heads, tokens, tokens]; the name of the result."""
        graph, most = self.graph, self._sizes.positions
        table = self._tensor(self._layout.relative or "", RELATIVE_BUCKETS, self._sizes.heads)
        by_distance = table[buckets(np.arange(-most, most + 1))]
        count = graph.add("Shape", [IDS], "relative_count", start=1, end=2)
        count = graph.add("Squeeze", [count], "relative_tokens")
        zero, one = graph.scalar(0, np.int64), graph.scalar(1, np.int64)
        row = graph.add("Range", [zero, count, one], "relative_range")
        column = graph.add("Unsqueeze", [row, one], "relative_column")
        distance = graph.add("Sub", [row, column], "relative_distance")
        index = graph.add("Add", [distance, graph.scalar(most, np.int64)], "relative_index")
        chosen = graph.add("Gather", [graph.weight("relative_table", by_distance), index], "relative_chosen")
        turned = graph.add("Transpose", [chosen], "relative_turned", perm=[2, 0, 1])
        return graph.add("Unsqueeze", [turned, zero], "relative_bias")

    def _activation(self, given: str, bias: NDArray[Any], output: str) -> str:
        graph, name = self.graph, self.graph.weight(f"{output}_bias", bias)
        if self._sizes.activation == "Gelu":
            return graph.add("BiasGelu", [given, name], output, FUSED)
        if self._sizes.activation == "FastGelu":
            return graph.add("FastGelu", [given, name], output, FUSED)
        return graph.add("Relu", [graph.add("Add", [given, name], f"{output}_sum")], output)

    def _norm(self, given: str, skip: str, name: str, output: str, bias: NDArray[Any] | None = None) -> str:
        """Writes the norm of given + skip + bias; see sessions.py for why it is not one operator."""
        graph, width = self.graph, self._sizes.width
        if bias is not None:
            given = graph.add("Add", [given, graph.weight(f"{output}_input_bias", bias)], f"{output}_biased")
        total = graph.add("Add", [given, skip], f"{output}_sum")
        parts = [graph.weight(f"{output}_{part}", self._tensor(f"{name}.{part}", width)) for part in ("weight", "bias")]
        return graph.add("LayerNormalization", [total, *parts], output, epsilon=self._sizes.epsilon)

    def _layer_tensors(self, name: str, rows: int, columns: int) -> tuple[NDArray[Any], NDArray[Any]]:
        return self._tensor(f"{name}.weight", rows, columns), self._tensor(f"{name}.bias", rows)

    def _tensor(self, name: str, *shape: int | None) -> NDArray[Any]:
        return self._weights.tensor(f"{self._prefix}{name}", *shape)


def buckets(distances: NDArray[np.int64]) -> NDArray[np.int64]:
    """The embeddings that relative positions have: one each near by, the farther the wider (Raffel et al. 2020, T5).

    Args:
        distances: from the token that looks to the token that is looked at.
    """
    half = RELATIVE_BUCKETS // 2
    exact = half // 2
    far = np.maximum(np.abs(distances), 1).astype(np.float32)
    wide = exact + (np.log(far / exact) / math.log(RELATIVE_DISTANCE / exact) * (half - exact)).astype(np.int64)
    near = np.where(np.abs(distances) < exact, np.abs(distances), np.minimum(wide, half - 1))
    found: NDArray[np.int64] = near + np.where(distances > 0, half, 0)
    return found
