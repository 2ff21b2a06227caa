# SPDX-License-Identifier: Apache-2.0
"""The architectures that are converted: where their tensors are, and what their configuration says."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cowabungaai_sdk.models import ModelError

ACTIVATIONS = {
    "gelu": "Gelu",
    "gelu_new": "FastGelu",
    "gelu_fast": "FastGelu",
    "gelu_pytorch_tanh": "FastGelu",
    "relu": "Relu",
}
"""Activations between the two layers of a feed-forward network, and ONNX Runtime's operators."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Names of an architecture's tensors; `{}` stands for the layer's number.

    Args:
        layer: how a layer's names begin.
        query, key, value, attention_out: linear layers of the attention.
        attention_norm: the norm after it.
        feed_in, feed_out: linear layers of the feed-forward network.
        feed_norm: the norm after it.
        types: the embeddings of token types; None where there are none.
        prefixes: what may stand before all names, where the model was saved as part of another.
        relative: the embeddings of relative positions; None where there are none.
    """

    layer: str
    query: str
    key: str
    value: str
    attention_out: str
    attention_norm: str
    feed_in: str
    feed_out: str
    feed_norm: str
    types: str | None
    prefixes: tuple[str, ...]
    relative: str | None = None


@dataclass(frozen=True, slots=True)
class Architecture:
    """An encoder's sizes, as its config.json says.

    Args:
        family: its model_type.
        layout: where its tensors are.
        width: of a token's vector.
        heads: of the attention.
        layers: how many.
        feed_width: of the feed-forward network.
        vocabulary: how many tokens there are.
        first_position: the row of the position embeddings that the first token has.
        positions: the most tokens of a text.
        epsilon: of the norms.
        activation: one of ONNX Runtime's operators.
    """

    family: str
    layout: Layout
    width: int
    heads: int
    layers: int
    feed_width: int
    vocabulary: int
    first_position: int
    positions: int
    epsilon: float
    activation: str


_BERT = Layout(
    layer="encoder.layer.{}.",
    query="attention.self.query",
    key="attention.self.key",
    value="attention.self.value",
    attention_out="attention.output.dense",
    attention_norm="attention.output.LayerNorm",
    feed_in="intermediate.dense",
    feed_out="output.dense",
    feed_norm="output.LayerNorm",
    types="embeddings.token_type_embeddings.weight",
    prefixes=("", "bert.", "roberta."),
)
_DISTILBERT = Layout(
    layer="transformer.layer.{}.",
    query="attention.q_lin",
    key="attention.k_lin",
    value="attention.v_lin",
    attention_out="attention.out_lin",
    attention_norm="sa_layer_norm",
    feed_in="ffn.lin1",
    feed_out="ffn.lin2",
    feed_norm="output_layer_norm",
    types=None,
    prefixes=("", "distilbert."),
)
_MPNET = Layout(
    layer="encoder.layer.{}.",
    query="attention.attn.q",
    key="attention.attn.k",
    value="attention.attn.v",
    attention_out="attention.attn.o",
    attention_norm="attention.LayerNorm",
    feed_in="intermediate.dense",
    feed_out="output.dense",
    feed_norm="output.LayerNorm",
    types=None,
    prefixes=("", "mpnet."),
    relative="encoder.relative_attention_bias.weight",
)


def _bert(config: "_Config", *, layout: Layout = _BERT, padded: bool = False) -> Architecture:
    kind = config.text("position_embedding_type", "absolute")
    if kind != "absolute":
        raise config.error(f"position_embedding_type is {kind!r}; expected 'absolute'")
    # These families number positions from the padding token's id on.
    first = config.size("pad_token_id", 1, least=0) + 1 if padded else 0
    return Architecture(
        family=config.text("model_type"),
        layout=layout,
        width=config.size("hidden_size"),
        heads=config.size("num_attention_heads"),
        layers=config.size("num_hidden_layers"),
        feed_width=config.size("intermediate_size"),
        vocabulary=config.size("vocab_size"),
        first_position=first,
        positions=config.size("max_position_embeddings") - first,
        epsilon=config.number("layer_norm_eps", 1e-12),
        activation=config.activation("hidden_act"),
    )


def _roberta(config: "_Config") -> Architecture:
    return _bert(config, padded=True)


def _mpnet(config: "_Config") -> Architecture:
    return _bert(config, layout=_MPNET, padded=True)


def _distilbert(config: "_Config") -> Architecture:
    return Architecture(
        family="distilbert",
        layout=_DISTILBERT,
        width=config.size("dim"),
        heads=config.size("n_heads"),
        layers=config.size("n_layers"),
        feed_width=config.size("hidden_dim"),
        vocabulary=config.size("vocab_size"),
        first_position=0,
        positions=config.size("max_position_embeddings"),
        epsilon=1e-12,
        activation=config.activation("activation"),
    )


FAMILIES: dict[str, Callable[["_Config"], Architecture]] = {
    "bert": _bert,
    "camembert": _roberta,
    "distilbert": _distilbert,
    "mpnet": _mpnet,
    "roberta": _roberta,
    "xlm-roberta": _roberta,
}
"""By model_type."""


def read(config: Mapping[str, Any], name: str) -> Architecture:
    """Finds an architecture's sizes.

    Args:
        config: of the model's config.json.
        name: that file's, for errors.

    Raises:
        ModelError: the architecture is not one of FAMILIES, or its configuration is wrong.
    """
    found = _Config(config, name)
    family = found.text("model_type")
    if family not in FAMILIES:
        known = ", ".join(sorted(FAMILIES))
        raise found.error(
            f"model_type is {family!r}; the cpu engine converts {known}; "
            "put an ONNX file of the model into its folder, or use the gpu flavor"
        )
    architecture = FAMILIES[family](found)
    if architecture.width % architecture.heads:
        raise found.error(f"{architecture.heads} heads do not divide the width {architecture.width}")
    return architecture


def prefix(names: Sequence[str], architecture: Architecture, where: str) -> str:
    """What stands before the names of all tensors.

    Args:
        names: of the tensors that are there.
        architecture: the model's.
        where: the file's name, for errors.

    Raises:
        ModelError: the tensors are not the architecture's.
    """
    wanted = "embeddings.word_embeddings.weight"
    for found in architecture.layout.prefixes:
        if f"{found}{wanted}" in names:
            return found
    raise ModelError(
        f"{where} has no tensor {wanted}, which {architecture.family} must have; it is of another architecture"
    )


@dataclass(frozen=True, slots=True)
class _Config:
    values: Mapping[str, Any]
    name: str

    def error(self, message: str) -> ModelError:
        return ModelError(f"{self.name}: {message}")

    def text(self, key: str, default: str | None = None) -> str:
        found = self._get(key, default)
        if not isinstance(found, str):
            raise self.error(f"{key} is {found!r}; expected a text")
        return found

    def size(self, key: str, default: int | None = None, least: int = 1) -> int:
        found = self._get(key, default)
        if not isinstance(found, int) or isinstance(found, bool) or found < least:
            raise self.error(f"{key} is {found!r}; expected a whole number from {least}")
        return found

    def number(self, key: str, default: float) -> float:
        found = self._get(key, default)
        if not isinstance(found, int | float) or isinstance(found, bool):
            raise self.error(f"{key} is {found!r}; expected a number")
        return float(found)

    def activation(self, key: str) -> str:
        found = self.text(key, "gelu")
        if found not in ACTIVATIONS:
            raise self.error(f"{key} is {found!r}; expected one of {', '.join(ACTIVATIONS)}")
        return ACTIVATIONS[found]

    def _get(self, key: str, default: object) -> object:
        found: object = self.values.get(key)
        return default if found is None else found
