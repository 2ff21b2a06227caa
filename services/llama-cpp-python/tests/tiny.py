# SPDX-License-Identifier: Apache-2.0
"""A GGUF file of a few kilobytes: a BERT with random weights, so that embedding is tested without a download."""

import random
import struct
from pathlib import Path

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    *(f"\u2581{word}" for word in ["a", "cat", "dog", "sat", "ran", "on", "the", "mat"]),
]
SIZE, INNER, LENGTH = 32, 64, 16
_UINT32, _INT32, _FLOAT32, _BOOL, _STRING, _ARRAY = 4, 5, 6, 7, 8, 9


def write_embedder(path: Path, *, pooling: int = 1) -> Path:
    """Writes the model.

    Args:
        path: where.
        pooling: 1 mean, 2 first token.
    """
    tensors = _tensors()
    values = [
        _value("general.architecture", _STRING, "bert"),
        _value("bert.context_length", _UINT32, LENGTH),
        _value("bert.embedding_length", _UINT32, SIZE),
        _value("bert.feed_forward_length", _UINT32, INNER),
        _value("bert.block_count", _UINT32, 1),
        _value("bert.attention.head_count", _UINT32, 2),
        _value("bert.attention.layer_norm_epsilon", _FLOAT32, 1e-12),
        _value("bert.attention.causal", _BOOL, False),
        _value("bert.pooling_type", _UINT32, pooling),
        _value("tokenizer.ggml.model", _STRING, "bert"),
        _value("tokenizer.ggml.pre", _STRING, "default"),
        _list("tokenizer.ggml.tokens", _STRING, WORDS),
        _list("tokenizer.ggml.token_type", _INT32, [3 if word[0] == "[" else 1 for word in WORDS]),
        _value("tokenizer.ggml.token_type_count", _UINT32, 2),
        *(
            _value(f"tokenizer.ggml.{name}_token_id", _UINT32, number)
            for name, number in (("padding", 0), ("unknown", 1), ("bos", 2), ("seperator", 3), ("eos", 3), ("mask", 4))
        ),
    ]
    head, data = b"", b""
    for name, shape in tensors.items():
        head += _string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, len(data))
        data += _numbers(name, shape)
        data += bytes(-len(data) % 32)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(values)) + b"".join(values) + head
    path.write_bytes(head + bytes(-len(head) % 32) + data)
    return path


def _tensors() -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (SIZE, len(WORDS)),
        "token_types.weight": (SIZE, 2),
        "position_embd.weight": (SIZE, LENGTH),
    }
    shapes = {"attn_q": SIZE, "attn_k": SIZE, "attn_v": SIZE, "attn_output": SIZE, "ffn_up": INNER}
    for name in ("token_embd_norm", "blk.0.attn_output_norm", "blk.0.layer_output_norm"):
        found |= {f"{name}.weight": (SIZE,), f"{name}.bias": (SIZE,)}
    for name, out in shapes.items():
        found |= {f"blk.0.{name}.weight": (SIZE, out), f"blk.0.{name}.bias": (out,)}
    return found | {"blk.0.ffn_down.weight": (INNER, SIZE), "blk.0.ffn_down.bias": (SIZE,)}


def _numbers(name: str, shape: tuple[int, ...]) -> bytes:
    count = shape[0] * (shape[1] if len(shape) > 1 else 1)
    source = random.Random(name)  # noqa: S311 - weights, not secrets
    numbers = [1.0] * count if "norm.weight" in name else [source.gauss(0, 0.3) for _ in range(count)]
    return struct.pack(f"<{count}f", *numbers)


def _string(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _value(key: str, kind: int, value: object) -> bytes:
    return _string(key) + struct.pack("<I", kind) + _packed(kind, value)


def _list(key: str, kind: int, values: list) -> bytes:
    return _string(key) + struct.pack("<IIQ", _ARRAY, kind, len(values)) + b"".join(_packed(kind, v) for v in values)


def _packed(kind: int, value: object) -> bytes:
    if kind == _STRING:
        return _string(str(value))
    return struct.pack({_UINT32: "<I", _INT32: "<i", _FLOAT32: "<f", _BOOL: "<?"}[kind], value)
