# SPDX-License-Identifier: Apache-2.0
"""ggml's backends for CPUs: a library for each family of processors, of which one is loaded."""

import ctypes
from pathlib import Path

from cowabungaai_sdk.manifest import ModelError

PREFIX, END = "libggml-cpu-", ".so"
SKIPPED = frozenset({"sapphirerapids"})
"""Families whose library ends the process by SIGILL as soon as it uses AMX: llama.cpp's pull request 26954 says why."""


def load(folder: Path) -> str:
    """Loads the best backend that this processor can run.

    Args:
        folder: where the libraries are.

    Returns:
        The family that it is for.

    Raises:
        ModelError: there is none for this processor, or it cannot be loaded.
    """
    files = [file for file in sorted(folder.glob(f"{PREFIX}*{END}")) if family(file) not in SKIPPED]
    if not files:
        raise ModelError(f"{folder} has no library of ggml for processors")
    try:
        # First of all, since the others need what it brings, and do not know where that is.
        register = ctypes.CDLL(str(folder / "libggml.so")).ggml_backend_load
        score, best = max((_score(file), file) for file in files)
    except (OSError, AttributeError) as error:
        raise ModelError(f"a library of ggml in {folder} cannot be loaded: {error}") from error
    register.argtypes, register.restype = [ctypes.c_char_p], ctypes.c_void_p
    if not score or not register(str(best).encode()):
        raise ModelError(f"{folder} has no library of ggml that this processor can run")
    return family(best)


def family(file: Path) -> str:
    """The family of processors that a library is for.

    Args:
        file: the library.
    """
    return file.name.removeprefix(PREFIX).removesuffix(END)


def _score(file: Path) -> int:
    """How well a library suits this processor, as it says itself; 0 where it cannot run."""
    library = ctypes.CDLL(str(file))
    try:
        return int(library.ggml_backend_score())
    finally:
        # None but the chosen one need stay in memory.
        close = ctypes.CDLL(None).dlclose
        close.argtypes = [ctypes.c_void_p]
        close(library._handle)
