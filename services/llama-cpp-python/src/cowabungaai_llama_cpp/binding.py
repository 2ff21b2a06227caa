# SPDX-License-Identifier: Apache-2.0
"""llama.cpp's C interface by ctypes: the libraries loaded, their CPU variant chosen, their logs sent to ours."""

import ctypes
import importlib
import importlib.util
import logging
import os
import sys
import threading
import types
from collections import deque
from functools import cache
from pathlib import Path
from typing import Any

from cowabungaai_llama_cpp import variants

log = logging.getLogger("cowabungaai.llama_cpp")

_ERROR, _WARNING = 4, 3
SPINS = "1000"
"""How often a thread of llama.cpp looks for work before it sleeps."""
KEPT_ERRORS = 8
"""How many of llama.cpp's last error lines are kept, to say why a model could not be loaded."""


@cache
def library() -> Any:
    """The binding's module of C functions, ready for use.

    Returns:
        `llama_cpp.llama_cpp`; its functions have no annotations that a checker could read.

    Raises:
        ImportError: llama-cpp-python is not installed.
        ModelError: it has no library for this processor.
    """
    functions = _functions()
    functions.llama_log_set(_log_callback, ctypes.c_void_p(0))
    family = variants.load(Path(functions.__file__).parent / "lib")
    log.info("the processor is taken for one like %s", family)
    functions.llama_backend_init()
    return functions


def function(name: str, result: Any, *arguments: Any) -> Any:
    """A C function by name, with types of our own: for those that the binding leaves out or declares too loosely.

    Args:
        name: the exported symbol.
        result: ctypes type of what it returns.
        arguments: ctypes types of what it takes.
    """
    return ctypes.CFUNCTYPE(result, *arguments)((name, _functions()._lib))


@cache
def _functions() -> Any:
    # Threads wait for each other after every operation. Spinning, OpenMP's default, they hold the processors that the
    # others need wherever fewer are free than there are threads (measured on a busy machine: a tenth of the speed); by
    # sleeping at once they lose 40 % on a quiet one. A short spin loses nothing here and little there. It is read when
    # the library is loaded.
    os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    # The package's own __init__ imports its high-level interface, and with it numpy, which nothing here needs and
    # which is larger than everything else in the image: a package without that __init__ stands in for it.
    if "llama_cpp" not in sys.modules:
        found = importlib.util.find_spec("llama_cpp")
        if found is None or found.submodule_search_locations is None:
            raise ImportError("the package llama-cpp-python is not installed")
        package = types.ModuleType("llama_cpp")
        package.__path__ = list(found.submodule_search_locations)
        sys.modules["llama_cpp"] = package
    return importlib.import_module("llama_cpp.llama_cpp")


class ErrorLines:
    """llama.cpp's last error lines of this process; they name tensors and sizes, never a prompt."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=KEPT_ERRORS)
        self._lock = threading.Lock()

    def add(self, line: str) -> None:
        """Keeps a line.

        Args:
            line: as llama.cpp wrote it.
        """
        with self._lock:
            self._lines.append(line)

    def take(self) -> list[str]:
        """The lines since the last call, oldest first."""
        with self._lock:
            lines = list(self._lines)
            self._lines.clear()
        return lines


errors = ErrorLines()


def _take_line(level: int, text: bytes | None, data: int | None) -> None:
    """Takes llama.cpp's log lines.

    Errors are kept for messages. What it says below a warning is dropped, since debug lines quote generated text; and
    the lines themselves are never logged while requests run, since grammar errors quote the request's schema.
    """
    if text is None or level not in (_ERROR, _WARNING):
        return
    line = text.decode(errors="replace").strip()
    if level == _ERROR and line:
        errors.add(line)


_log_callback = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(_take_line)
"""Kept here: llama.cpp calls it as long as the process lives."""
