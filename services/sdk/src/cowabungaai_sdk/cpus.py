# SPDX-License-Identifier: Apache-2.0
"""How many processors this process may use."""

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def usable_cpus(cgroup: Path = CGROUP) -> int:
    """Processors by affinity and by the container's quota, at least one.

    Args:
        cgroup: where the kernel shows the container's limits.
    """
    allowed = len(os.sched_getaffinity(0))
    return max(1, min(allowed, _quota(cgroup) or allowed))


def _quota(cgroup: Path) -> int | None:
    """The container's limit, rounded up; None where there is none."""
    try:
        limit, period = (cgroup / "cpu.max").read_text().split()
    except (OSError, ValueError):
        return None
    return None if limit == "max" else math.ceil(int(limit) / int(period))
