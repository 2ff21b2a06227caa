# SPDX-License-Identifier: Apache-2.0
"""Small models with random weights, as sentence-transformers saves them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

WORDS = [
    "the",
    "a",
    "cat",
    "dog",
    "sits",
    "runs",
    "on",
    "mat",
    "street",
    "red",
    "blue",
    "fast",
    "slow",
    "house",
    "tree",
    "river",
    "sun",
    "moon",
    "one",
    "two",
    "three",
]
VOCABULARY = ["[PAD]", "<pad>", "[UNK]", "[CLS]", "[SEP]", *WORDS, *"abcdefghijklmnopqrstuvwxyz"[1:]]
POOLINGS = (
    "pooling_mode_cls_token",
    "pooling_mode_max_tokens",
    "pooling_mode_mean_tokens",
    "pooling_mode_mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens",
    "pooling_mode_lasttoken",
)
WIDTH, HEADS, LAYERS, FEED, POSITIONS = 32, 4, 2, 64, 40


def make(
    folder: Path, family: str = "bert", pooling: tuple[str, ...] = ("pooling_mode_mean_tokens",), **changes: Any
) -> Path:
    """Makes a model's folder.

    Args:
        folder: where; it is made.
        family: one of the architectures that the service converts.
        pooling: keys of the pooling's configuration that are true.
        changes: `dense` (width of a Dense module), `normalize`, `prompts`, `max_seq_length`, and keys of config.json.
    """
    dense, normalize = changes.pop("dense", None), changes.pop("normalize", True)
    prompts, longest = changes.pop("prompts", None), changes.pop("max_seq_length", 32)
    folder.mkdir(parents=True)
    rng = np.random.default_rng(len(family))
    write_json(folder / "config.json", {**_config(family), **changes})
    save_file(_weights(family, rng), folder / "model.safetensors")
    _tokenizer().save(str(folder / "tokenizer.json"))
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast"})
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": longest, "do_lower_case": False})
    write_json(folder / "config_sentence_transformers.json", prompts or {})
    kinds = ["Transformer", "Pooling", *(["Dense"] if dense else []), *(["Normalize"] if normalize else [])]
    modules = []
    for number, kind in enumerate(kinds):
        path = f"{number}_{kind}" if number else ""
        modules.append(
            {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
        )
        (folder / path).mkdir(exist_ok=True)
    write_json(folder / "modules.json", modules)
    config = {"word_embedding_dimension": WIDTH, **dict.fromkeys(pooling, True)}
    write_json(folder / "1_Pooling/config.json", config)
    if dense:
        width = WIDTH * len(pooling)
        activation = "torch.nn.modules.activation.Tanh"
        shape = {"in_features": width, "out_features": dense, "bias": True, "activation_function": activation}
        write_json(folder / "2_Dense/config.json", shape)
        tensors = {"linear.weight": _random(rng, dense, width), "linear.bias": _random(rng, dense)}
        save_file(tensors, folder / "2_Dense/model.safetensors")
    return folder


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value))


def _config(family: str) -> dict[str, Any]:
    if family == "distilbert":
        names = {"dim": WIDTH, "n_heads": HEADS, "n_layers": LAYERS, "hidden_dim": FEED, "activation": "gelu"}
    else:
        names = {
            "hidden_size": WIDTH,
            "num_attention_heads": HEADS,
            "num_hidden_layers": LAYERS,
            "intermediate_size": FEED,
            "hidden_act": "gelu",
            "layer_norm_eps": 1e-5,
        }
    padding = 0 if family in ("bert", "distilbert") else 1
    sizes = {"vocab_size": len(VOCABULARY), "max_position_embeddings": POSITIONS, "pad_token_id": padding}
    return {"model_type": family, **names, **sizes}


def _random(rng: np.random.Generator, *shape: int, scale: float = 0.3) -> np.ndarray:
    return (rng.standard_normal(shape) * scale).astype(np.float32)


def _weights(family: str, rng: np.random.Generator) -> dict[str, np.ndarray]:
    found = {
        "embeddings.word_embeddings.weight": _random(rng, len(VOCABULARY), WIDTH),
        "embeddings.position_embeddings.weight": _random(rng, POSITIONS, WIDTH),
    }
    norms, lines = ["embeddings.LayerNorm"], []
    if family not in ("distilbert", "mpnet"):
        found["embeddings.token_type_embeddings.weight"] = _random(rng, 2, WIDTH)
    if family == "mpnet":
        found["encoder.relative_attention_bias.weight"] = _random(rng, 32, HEADS, scale=1)
    for number in range(LAYERS):
        if family == "distilbert":
            at = f"transformer.layer.{number}."
            square = [f"{at}attention.{part}_lin" for part in ("q", "k", "v", "out")]
            norms += [f"{at}sa_layer_norm", f"{at}output_layer_norm"]
            lines += [(f"{at}ffn.lin1", FEED, WIDTH), (f"{at}ffn.lin2", WIDTH, FEED)]
        else:
            at = f"encoder.layer.{number}."
            if family == "mpnet":
                square = [f"{at}attention.attn.{part}" for part in "qkvo"]
                norms.append(f"{at}attention.LayerNorm")
            else:
                square = [f"{at}attention.self.{part}" for part in ("query", "key", "value")]
                square.append(f"{at}attention.output.dense")
                norms.append(f"{at}attention.output.LayerNorm")
            norms.append(f"{at}output.LayerNorm")
            lines += [(f"{at}intermediate.dense", FEED, WIDTH), (f"{at}output.dense", WIDTH, FEED)]
        lines += [(name, WIDTH, WIDTH) for name in square]
    for name, rows, columns in lines:
        found |= {f"{name}.weight": _random(rng, rows, columns), f"{name}.bias": _random(rng, rows)}
    for name in norms:
        found |= {f"{name}.weight": 1 + _random(rng, WIDTH), f"{name}.bias": _random(rng, WIDTH)}
    return found


def _tokenizer() -> Tokenizer:
    ids = {word: number for number, word in enumerate(VOCABULARY)}

    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))  # noqa: S106 - no password
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = [("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])]
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=special)
    # As models are often saved; the service must not follow it.
    tokenizer.enable_padding(length=16)
    tokenizer.enable_truncation(8)
    return tokenizer
