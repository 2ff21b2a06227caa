# SPDX-License-Identifier: Apache-2.0
"""What this machine, or the container on it, can do."""

import ctypes
import platform
from pathlib import Path


def int8_saturates() -> bool:
    """Whether sums of int8 products may overflow: on x86-64 without VNNI; then they are computed in a slower way."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return False
    try:
        return "vnni" not in Path("/proc/cpuinfo").read_text()
    except OSError:
        return True


def return_memory() -> None:
    """Gives memory that was freed back to the system; the C library would keep what a conversion has taken."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
