# SPDX-License-Identifier: Apache-2.0
"""The tokens that may come next, with their logits, as llama.cpp's samplers see them.

llama.cpp makes the array of candidates from the logits only inside llama_sampler_sample. A sampler of our own, whose
`apply` is Python, is how we get at that array without copying a vocabulary through Python.
"""

import ctypes
from collections.abc import Callable
from typing import Any

from cowabungaai_llama_cpp.binding import function, library

_APPLY = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)


class _SamplerInterface(ctypes.Structure):
    """llama_sampler_i of llama.h: name, accept, apply, reset, clone, free and six functions for other devices."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("accept", ctypes.c_void_p),
        ("apply", _APPLY),
        ("others", ctypes.c_void_p * 9),
    )


class Candidates:
    """Shows the candidates of a decoded token to a function. For one thread."""

    def __init__(self) -> None:
        self._c = library()
        self._work: Callable[[Any], None] | None = None
        self._error: Exception | None = None
        self._apply = _APPLY(self._visited)
        self._interface = _SamplerInterface(apply=self._apply)
        self._pointer = ctypes.POINTER(self._c.llama_token_data_array)
        make = function(
            "llama_sampler_init", self._c.llama_sampler_p_ctypes, ctypes.POINTER(_SamplerInterface), ctypes.c_void_p
        )
        # A chain keeps its array between calls; a sampler alone would allocate it anew for every token.
        self._chain = self._c.llama_sampler_chain_init(self._c.llama_sampler_chain_default_params())
        self._c.llama_sampler_chain_add(self._chain, make(ctypes.byref(self._interface), None))

    def visit(self, context: Any, row: int, work: Callable[[Any], None]) -> None:
        """Calls a function with the candidates: a pointer to llama_token_data_array, one entry a token, in their order.

        Args:
            context: llama.cpp's context.
            row: the token's place in the last batch.
            work: may change the array as it likes; it is thrown away.

        Raises:
            Exception: what the function raised.
        """
        self._work, self._error = work, None
        self._c.llama_sampler_sample(self._chain, context, row)
        self._work = None
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Frees the chain."""
        if self._chain:
            self._c.llama_sampler_free(self._chain)
            self._chain = None

    def _visited(self, sampler: int | None, array: int) -> None:
        found = ctypes.cast(array, self._pointer)
        try:
            if self._work is not None:
                self._work(found)
        # An exception cannot pass through C; it is raised again in visit.
        except Exception as error:
            self._error = error
        # llama.cpp ends the process where no candidate is selected.
        found.contents.size = max(1, found.contents.size)
        found.contents.selected = 0
