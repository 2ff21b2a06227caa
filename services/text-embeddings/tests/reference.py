# SPDX-License-Identifier: Apache-2.0
"""The vectors as the papers and sentence-transformers define them: float32, one text at a time, with numpy alone.

Written apart from the service: it reads safetensors by itself and shares no code with what it checks.
"""

import json
import math
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

ERF = np.vectorize(math.erf, otypes=[np.float64])


class Reference:
    """A model's folder, read anew."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = json.loads((folder / "config.json").read_text())
        self.w = {name: value.astype(np.float32) for name, value in load_file(folder / "model.safetensors").items()}
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.family = self.config["model_type"]

    def ids(self, text: str) -> list[int]:
        return self.tokenizer.encode(text).ids

    def vector(self, ids: list[int]) -> np.ndarray:
        """The vector of a text's tokens, special ones included."""
        hidden = getattr(self, f"_{self.family.replace('-', '_')}")(np.array(ids))
        modules = json.loads((self.folder / "modules.json").read_text())[1:]
        pooling = json.loads((self.folder / modules[0]["path"] / "config.json").read_text())
        found = self._pooled(hidden, pooling)
        for module in modules[1:]:
            if module["type"].endswith("Normalize"):
                found = found / np.linalg.norm(found)
            else:
                dense = load_file(self.folder / module["path"] / "model.safetensors")
                found = np.tanh(dense["linear.weight"] @ found + dense["linear.bias"])
        return found

    def embed(self, text: str) -> np.ndarray:
        return self.vector(self.ids(text))

    def _pooled(self, hidden: np.ndarray, config: dict) -> np.ndarray:
        n = len(hidden)
        ranks = np.arange(1, n + 1)[:, None]
        ways = {
            "pooling_mode_cls_token": hidden[0],
            "pooling_mode_max_tokens": hidden.max(0),
            "pooling_mode_mean_tokens": hidden.sum(0) / n,
            "pooling_mode_mean_sqrt_len_tokens": hidden.sum(0) / math.sqrt(n),
            "pooling_mode_weightedmean_tokens": (hidden * ranks).sum(0) / ranks.sum(),
            "pooling_mode_lasttoken": hidden[-1],
        }
        return np.concatenate([value for key, value in ways.items() if config.get(key)])

    def _norm(self, x: np.ndarray, name: str, epsilon: float) -> np.ndarray:
        mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        return (x - mean) / np.sqrt(variance + epsilon) * self.w[f"{name}.weight"] + self.w[f"{name}.bias"]

    def _line(self, x: np.ndarray, name: str) -> np.ndarray:
        return x @ self.w[f"{name}.weight"].T + self.w[f"{name}.bias"]

    def _act(self, x: np.ndarray) -> np.ndarray:
        kind = self.config.get("hidden_act", self.config.get("activation", "gelu"))
        if kind == "relu":
            return np.maximum(x, 0)
        if kind == "gelu_new":
            return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
        return (0.5 * x * (1 + ERF(x / math.sqrt(2)))).astype(np.float32)

    def _attend(self, x: np.ndarray, names: list[str], heads: int, bias: np.ndarray | float = 0.0) -> np.ndarray:
        n, width = x.shape
        q, k, v = (self._line(x, name).reshape(n, heads, width // heads).transpose(1, 0, 2) for name in names)
        scores = q @ k.transpose(0, 2, 1) / math.sqrt(width // heads) + bias
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        return (weights @ v).transpose(1, 0, 2).reshape(n, width)

    def _bert(self, ids: np.ndarray, first_position: int = 0, bias: np.ndarray | float = 0.0) -> np.ndarray:
        c, e = self.config, self.config["layer_norm_eps"]
        x = self.w["embeddings.word_embeddings.weight"][ids]
        x = x + self.w["embeddings.position_embeddings.weight"][first_position + np.arange(len(ids))]
        if "embeddings.token_type_embeddings.weight" in self.w:
            x = x + self.w["embeddings.token_type_embeddings.weight"][0]
        x = self._norm(x, "embeddings.LayerNorm", e)
        for number in range(c["num_hidden_layers"]):
            at = f"encoder.layer.{number}."
            if self.family == "mpnet":
                names = [f"{at}attention.attn.{part}" for part in "qkv"]
                out, after = f"{at}attention.attn.o", f"{at}attention.LayerNorm"
            else:
                names = [f"{at}attention.self.{part}" for part in ("query", "key", "value")]
                out, after = f"{at}attention.output.dense", f"{at}attention.output.LayerNorm"
            mixed = self._attend(x, names, c["num_attention_heads"], bias)
            x = self._norm(self._line(mixed, out) + x, after, e)
            fed = self._line(self._act(self._line(x, f"{at}intermediate.dense")), f"{at}output.dense")
            x = self._norm(fed + x, f"{at}output.LayerNorm", e)
        return x

    def _roberta(self, ids: np.ndarray) -> np.ndarray:
        return self._bert(ids, self.config["pad_token_id"] + 1)

    _xlm_roberta = _camembert = _roberta

    def _mpnet(self, ids: np.ndarray) -> np.ndarray:
        table = self.w["encoder.relative_attention_bias.weight"]
        n = len(ids)
        bias = np.array([[table[_bucket(key - query)] for key in range(n)] for query in range(n)])
        return self._bert(ids, self.config["pad_token_id"] + 1, bias.transpose(2, 0, 1))

    def _distilbert(self, ids: np.ndarray) -> np.ndarray:
        x = self.w["embeddings.word_embeddings.weight"][ids]
        x = self._norm(x + self.w["embeddings.position_embeddings.weight"][: len(ids)], "embeddings.LayerNorm", 1e-12)
        for number in range(self.config["n_layers"]):
            at = f"transformer.layer.{number}."
            mixed = self._attend(x, [f"{at}attention.{part}_lin" for part in "qkv"], self.config["n_heads"])
            x = self._norm(self._line(mixed, f"{at}attention.out_lin") + x, f"{at}sa_layer_norm", 1e-12)
            fed = self._line(self._act(self._line(x, f"{at}ffn.lin1")), f"{at}ffn.lin2")
            x = self._norm(fed + x, f"{at}output_layer_norm", 1e-12)
        return x


def _bucket(distance: int) -> int:
    """T5's buckets of relative positions, both ways: 32 in all, from 128 on the last one."""
    bucket = 16 if distance > 0 else 0
    distance = abs(distance)
    if distance < 8:
        return bucket + distance
    return bucket + min(15, 8 + int(math.log(distance / 8) / math.log(16) * 8))
