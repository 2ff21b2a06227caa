# SPDX-License-Identifier: Apache-2.0
"""llama-cpp-python's own server: `python -m bench.backends.workers.llama_server --model FILE --port PORT ...`.

The library was compiled with a backend for each family of processors, which its own start does not load: the one that
our service takes is loaded for it, too.
"""

from __future__ import annotations

import runpy
from pathlib import Path

from cowabungaai_llama_cpp import variants
from llama_cpp import llama_cpp

if __name__ == "__main__":
    variants.load(Path(llama_cpp.__file__).parent / "lib")
    runpy.run_module("llama_cpp.server", run_name="__main__")
