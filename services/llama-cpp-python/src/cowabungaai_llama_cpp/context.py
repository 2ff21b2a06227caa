# SPDX-License-Identifier: Apache-2.0
"""llama.cpp's context: the attention's cache, and one step of decoding for many sequences at once."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cowabungaai_llama_cpp.binding import errors, library
from cowabungaai_llama_cpp.config import CACHE_TYPES, LlamaConfig
from cowabungaai_llama_cpp.weights import Weights
from cowabungaai_sdk.models import ModelError

SCORED = 32
"""How many tokens of a prompt are scored in one step: a row of logits is as large as the vocabulary."""

_FLASH_AUTO, _FLASH_OFF = -1, 0
_NO_ROOM = 1
_ABORTED = 2


class DecodeError(Exception):
    """llama.cpp could not decode a batch."""


class NoRoomError(DecodeError):
    """The cache has no room for the step; nothing of it is in there."""


class AbortedError(Exception):
    """The step was aborted; nothing of it is in the cache."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Tokens of one sequence for one step.

    Args:
        sequence: whose.
        position: of the first of them.
        tokens: in order.
        scored: whether logits are wanted of each one; otherwise of none but the last, where `last` says so.
        last: whether logits are wanted of the last one.
    """

    sequence: int
    position: int
    tokens: Sequence[int]
    scored: bool = False
    last: bool = False


class Context:
    """A context with room for several sequences. For one thread, but for abort.

    Where results are to be reproducible, each sequence has a buffer of its own, so that its sums are made in the same
    order whatever else is there, and flash attention is off, since it takes other ways for one token than for several.
    Otherwise they share one buffer, so that the beginning of one can be used in another without copying it.

    Args:
        weights: what decodes.
        length: tokens of each sequence.
        config: the other settings.

    Raises:
        ModelError: llama.cpp could not make it, as a rule for lack of memory.
    """

    def __init__(self, weights: Weights, length: int, config: LlamaConfig) -> None:
        self._c = library()
        self.batch_size = config.batch_size
        errors.take()
        parameters = self._c.llama_context_default_params()
        parameters.n_ctx = length * config.parallel
        parameters.n_batch = parameters.n_ubatch = config.batch_size
        parameters.n_seq_max = config.parallel
        # Memory for logits is reserved for that many tokens, not for a whole batch.
        parameters.n_outputs_max = SCORED + config.parallel
        parameters.n_threads = parameters.n_threads_batch = config.threads
        parameters.type_k, parameters.type_v = CACHE_TYPES[config.cache_type_k], CACHE_TYPES[config.cache_type_v]
        self._unified = parameters.kv_unified = not config.reproducible
        # llama.cpp can read quantized values by flash attention only.
        quantized = config.cache_type_v not in ("f32", "f16", "bf16")
        parameters.flash_attn_type = _FLASH_AUTO if quantized or not config.reproducible else _FLASH_OFF
        parameters.swa_full = config.swa_full
        parameters.offload_kqv = parameters.op_offload = False
        self.handle = self._c.llama_init_from_model(weights.handle, parameters)
        if not self.handle:
            reasons = "; ".join(errors.take()) or "llama.cpp gives no reason"
            size = f"{length} tokens in {config.parallel} sequences"
            raise ModelError(f"no context of {size} could be made: {reasons}; lower --context-length or --parallel")
        self._memory = self._c.llama_get_memory(self.handle)
        self._make_batch(config)
        self._set_abort()

    def decode(self, chunks: Sequence[Chunk]) -> list[int]:
        """Decodes one step.

        Args:
            chunks: no more than batch_size tokens together.

        Returns:
            The row in the batch of each chunk's last token.

        Raises:
            AbortedError: abort was called meanwhile.
            NoRoomError: other sequences have to be forgotten first.
            DecodeError: llama.cpp failed; what the cache holds is not known any more.
        """
        at = 0
        rows = []
        for chunk in chunks:
            end = at + len(chunk.tokens)
            self._tokens[at:end] = list(chunk.tokens)
            self._positions[at:end] = list(range(chunk.position, chunk.position + len(chunk.tokens)))
            self._sequences[at:end] = [self._sequence_ids[chunk.sequence]] * len(chunk.tokens)
            self._outputs[at:end] = [int(chunk.scored)] * len(chunk.tokens)
            if chunk.last:
                self._outputs[end - 1] = 1
            rows.append(end - 1)
            at = end
        self._batch.n_tokens = at
        status = self._c.llama_decode(self.handle, self._batch)
        if status == _ABORTED:
            # llama.cpp may have split the batch, and keeps the parts that were complete.
            for chunk in chunks:
                self.keep(chunk.sequence, chunk.position)
            raise AbortedError
        if status:
            kind = NoRoomError if status == _NO_ROOM else DecodeError
            raise kind(f"llama_decode of {at} tokens in {len(chunks)} sequences returned {status}")
        return rows

    def abort(self) -> None:
        """Ends the step that runs now, from any thread; each further step too, until clear_abort."""
        self._flag[0] = b"\x01"

    def clear_abort(self) -> None:
        """Lets steps run again."""
        self._flag[0] = b"\0"

    def keep(self, sequence: int, length: int) -> bool:
        """Forgets a sequence but for its beginning.

        Args:
            sequence: which.
            length: how many of its tokens stay.

        Returns:
            Whether they did; otherwise all is forgotten.
        """
        if length and self._c.llama_memory_seq_rm(self._memory, sequence, length, -1):
            return True
        self._c.llama_memory_seq_rm(self._memory, sequence, -1, -1)
        return not length

    def share(self, source: int, sequence: int, length: int) -> None:
        """Makes the beginning of one sequence that of another, too, instead of what that held.

        Args:
            source: the one.
            sequence: the other.
            length: how many tokens.
        """
        self._c.llama_memory_seq_rm(self._memory, sequence, -1, -1)
        if self._unified:
            self._c.llama_memory_seq_cp(self._memory, source, sequence, 0, length)
            return
        # Of a buffer to another one llama.cpp copies all or nothing.
        self._c.llama_memory_seq_cp(self._memory, source, sequence, -1, -1)
        self.keep(sequence, length)

    def first_position(self, sequence: int) -> int:
        """The first token that the cache still holds all of; with a sliding window that is not the first one.

        Args:
            sequence: which.
        """
        return int(self._c.llama_memory_seq_pos_min(self._memory, sequence))

    def clear(self) -> None:
        """Forgets all sequences."""
        self._c.llama_memory_clear(self._memory, False)

    def close(self) -> None:
        """Frees the context."""
        if self.handle:
            self._c.llama_free(self.handle)
            self.handle = None

    def _make_batch(self, config: LlamaConfig) -> None:
        size = config.batch_size
        self._tokens = (ctypes.c_int32 * size)()
        self._positions = (ctypes.c_int32 * size)()
        self._counts = (ctypes.c_int32 * size)(*[1] * size)
        self._outputs = (ctypes.c_int8 * size)()
        pointer = ctypes.POINTER(ctypes.c_int32)
        self._numbers = [ctypes.c_int32(number) for number in range(config.parallel)]
        self._sequence_ids = [ctypes.pointer(number) for number in self._numbers]
        # One more than the batch: llama.cpp's own batches end with a null pointer.
        self._sequences = (pointer * (size + 1))()
        self._batch: Any = self._c.llama_batch(
            n_tokens=0,
            token=self._tokens,
            embd=None,
            pos=self._positions,
            n_seq_id=self._counts,
            seq_id=ctypes.cast(self._sequences, ctypes.POINTER(pointer)),
            logits=self._outputs,
        )

    def _set_abort(self) -> None:
        """llama.cpp asks a C function before every operation whether to go on: a Python function would cost more than
        the operation. `strlen` of a buffer is that function: true where the first byte is not 0."""
        self._flag = ctypes.create_string_buffer(2)
        strlen = ctypes.cast(ctypes.CDLL(None).strlen, self._c.ggml_abort_callback)
        self._c.llama_set_abort_callback(self.handle, strlen, ctypes.cast(self._flag, ctypes.c_void_p))
