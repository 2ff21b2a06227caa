# SPDX-License-Identifier: Apache-2.0
"""A GGUF file's weights and vocabulary, shared by everything that uses them."""

import ctypes
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from cowabungaai_llama_cpp.binding import errors, library
from cowabungaai_sdk.models import LocalModel, ModelError

MAGIC = b"GGUF"
VERSIONS = (2, 3)
FIRST_PART = "*-00001-of-*.gguf"
"""How a model's first file is named where it has several; llama.cpp finds the others by its name."""


def gguf_file(model: LocalModel) -> Path:
    """Finds a model's file and looks at its first bytes.

    Args:
        model: a GGUF file, or a folder with one.

    Raises:
        ModelError: there is none, or it is no GGUF file.
    """
    parts = model.files(FIRST_PART) if model.path.is_dir() else []
    path = parts[0] if len(parts) == 1 else model.file("*.gguf")
    with path.open("rb") as file:
        head = file.read(8)
    if head[:4] != MAGIC:
        found = f"begins with {head[:4]!r}" if head else "is empty"
        raise ModelError(
            f"{path} {found}; expected a GGUF file, which begins with {MAGIC!r}; convert the model to GGUF"
        )
    version = int.from_bytes(head[4:8], "little")
    if version not in VERSIONS:
        expected = " or ".join(map(str, VERSIONS))
        raise ModelError(
            f"{path} is GGUF version {version}; expected little-endian version {expected}; convert it anew"
        )
    return path


class Weights:
    """Weights in memory, and the vocabulary. Methods may be called from any thread.

    Args:
        path: the GGUF file, as gguf_file found it. It is mapped, not read: it may be deleted while it is served.
        repack: whether weights may be put into the order that is fastest for many tokens at once. Sums are then made in
            another order for one token than for several, so that results depend on what else is in a batch.

    Raises:
        ModelError: llama.cpp could not load it; the message has its reasons.
    """

    def __init__(self, path: Path, *, repack: bool = False) -> None:
        self._c = library()
        errors.take()
        parameters = self._c.llama_model_default_params()
        parameters.n_gpu_layers = 0
        parameters.use_extra_bufts = repack
        self.handle = self._c.llama_model_load_from_file(str(path).encode(), parameters)
        if not self.handle:
            reasons = "; ".join(errors.take()) or "llama.cpp gives no reason"
            raise ModelError(
                f"{path} cannot be loaded: {reasons}; copy the file anew, or convert it for this llama.cpp"
            )
        self.vocab = self._c.llama_model_get_vocab(self.handle)
        self.vocab_size: int = self._c.llama_vocab_n_tokens(self.vocab)
        self._pieces: dict[int, bytes] = {}
        self._special_pieces: dict[int, bytes] = {}

    def close(self) -> None:
        """Frees the weights; nothing may use them any more."""
        if self.handle:
            self._c.llama_model_free(self.handle)
            self.handle = None

    @cached_property
    def training_length(self) -> int:
        """How many tokens the model was trained on at once."""
        return int(self._c.llama_model_n_ctx_train(self.handle))

    @cached_property
    def dimensions(self) -> int:
        """Length of the model's vectors."""
        return int(self._c.llama_model_n_embd_out(self.handle))

    @cached_property
    def window(self) -> int:
        """Tokens of the sliding window; 0 where attention sees everything."""
        return int(self._c.llama_model_n_swa(self.handle))

    @cached_property
    def is_recurrent(self) -> bool:
        """Whether some state is one for the whole sequence, so that its end cannot be taken off."""
        return bool(self._c.llama_model_is_recurrent(self.handle) or self._c.llama_model_is_hybrid(self.handle))

    @cached_property
    def pooling(self) -> int:
        """How vectors are pooled: 0 none, 1 mean, 2 first, 3 last, 4 rank; -1 where the file says nothing."""
        value = self.metadata(f"{self.metadata('general.architecture')}.pooling_type")
        return int(value) if value and value.isdecimal() else -1

    @cached_property
    def has_encoder(self) -> bool:
        """Whether it is an encoder-decoder model."""
        return bool(self._c.llama_model_has_encoder(self.handle))

    @cached_property
    def is_embedder(self) -> bool:
        """Whether it is made for vectors rather than for text."""
        return self.pooling in (1, 2, 3)

    @cached_property
    def end_tokens(self) -> list[int]:
        """The tokens that end an answer."""
        return [token for token in range(self.vocab_size) if self._c.llama_vocab_is_eog(self.vocab, token)]

    @cached_property
    def bos(self) -> int:
        """The token that begins a text; -1 where there is none."""
        return int(self._c.llama_vocab_bos(self.vocab))

    @cached_property
    def eos(self) -> int:
        """The token that ends a text; -1 where there is none."""
        return int(self._c.llama_vocab_eos(self.vocab))

    @cached_property
    def sep(self) -> int:
        """The token that ends a text of models that embed; -1 where there is none."""
        return int(self._c.llama_vocab_sep(self.vocab))

    @cached_property
    def adds_bos(self) -> bool:
        """Whether texts begin with bos."""
        return bool(self._c.llama_vocab_get_add_bos(self.vocab)) and self.bos >= 0

    @cached_property
    def infill_tokens(self) -> tuple[int, int, int]:
        """The tokens before a prefix, a suffix and the middle; -1 where the model has none."""
        c, vocab = self._c, self.vocab
        return c.llama_vocab_fim_pre(vocab), c.llama_vocab_fim_suf(vocab), c.llama_vocab_fim_mid(vocab)

    @cached_property
    def longest_token(self) -> int:
        """Bytes of the longest token, at most: a text of n times as many bytes has more than n tokens for certain."""
        text = self._c.llama_vocab_get_text
        return max(len(text(self.vocab, token) or b"") for token in range(self.vocab_size)) or 1

    def metadata(self, key: str) -> str | None:
        """A value of the file's header as text.

        Args:
            key: such as `general.architecture`.
        """
        buffer = ctypes.create_string_buffer(256)
        length = self._c.llama_model_meta_val_str(self.handle, key.encode(), buffer, len(buffer))
        if length >= len(buffer):
            buffer = ctypes.create_string_buffer(length + 1)
            length = self._c.llama_model_meta_val_str(self.handle, key.encode(), buffer, len(buffer))
        return None if length < 0 else buffer.value.decode(errors="replace")

    def template(self) -> str | None:
        """The file's chat template; None where it has none."""
        found = self._c.llama_model_chat_template(self.handle, None)
        return found.decode(errors="replace") if found else None

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        """Splits a text into tokens.

        Args:
            text: any text; what is no Unicode in it becomes `?`.
            add_special: whether tokens are added that begin or end a text, where the model has them.
            parse_special: whether the names of control tokens in the text stand for them.
        """
        data = text.encode(errors="replace")
        room = len(data) + 8
        while True:
            found = (ctypes.c_int32 * room)()
            count = self._c.llama_tokenize(self.vocab, data, len(data), found, room, add_special, parse_special)
            if count >= 0:
                return found[:count]
            room = -count

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """A token's bytes; a part of a UTF-8 character where the vocabulary has such tokens.

        Args:
            token: its id, in the vocabulary.
            special: whether control tokens are shown by their names; otherwise they are empty.
        """
        known = self._special_pieces if special else self._pieces
        found = known.get(token)
        if found is None:
            buffer = ctypes.create_string_buffer(64)
            length = self._c.llama_token_to_piece(self.vocab, token, buffer, len(buffer), 0, special)
            if length < 0:
                buffer = ctypes.create_string_buffer(-length)
                length = self._c.llama_token_to_piece(self.vocab, token, buffer, len(buffer), 0, special)
            found = known[token] = buffer.raw[: max(0, length)]
        return found

    def name(self, token: int) -> str:
        """A token as text, also where it is a control token; empty for -1.

        Args:
            token: its id, or -1.
        """
        return self.piece(token, special=True).decode(errors="replace") if token >= 0 else ""

    def text(self, tokens: Sequence[int]) -> str:
        """Tokens as text, without control tokens.

        Args:
            tokens: ids in the vocabulary.
        """
        return b"".join(map(self.piece, tokens)).decode(errors="replace")
