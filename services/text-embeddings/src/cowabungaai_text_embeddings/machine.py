"""What this machine, or the container on it, can do."""

import ctypes
import os
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


def cpus() -> int:
    """How many CPUs this process may use: by its affinity, and by the quota of its control group."""
    allowed = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return allowed
    return allowed if quota == "max" else max(1, min(allowed, round(int(quota) / int(period))))


def return_memory() -> None:
    """Gives memory that was freed back to the system; the C library would keep what a conversion has taken."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
