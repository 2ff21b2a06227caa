# SPDX-License-Identifier: Apache-2.0
"""CPU time and memory of processes, as the kernel tells them. Standard library only: the native client uses it too."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
MEMORY = re.compile(r"^(VmRSS|VmHWM):\s+(\d+) kB$", re.MULTILINE)
# Fields 14 and 15 of proc_pid_stat(5), user and system time in clock ticks, counted behind the name.
CPU_FIELDS = slice(11, 13)


@dataclass(frozen=True)
class Reading:
    """What the kernel says of a process at one moment.

    Attributes:
        cpu: Seconds of CPU time so far.
        resident: Bytes in memory now.
        peak: The most bytes that it ever had in memory.
    """

    cpu: float
    resident: int
    peak: int


def read(pid: int) -> Reading:
    """Read a process's CPU time and memory.

    Args:
        pid: Its number.

    Raises:
        OSError: There is no such process.
    """
    # The second field, the name, is in brackets and may itself hold spaces and brackets.
    fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    memory = {
        name: int(kilobytes) << 10 for name, kilobytes in MEMORY.findall((PROC / str(pid) / "status").read_text())
    }
    ticks = sum(map(int, fields[CPU_FIELDS]))
    return Reading(ticks / os.sysconf("SC_CLK_TCK"), memory.get("VmRSS", 0), memory.get("VmHWM", 0))


def family(pid: int) -> list[int]:
    """A process and all that descend from it, itself first.

    Args:
        pid: Its number.
    """
    found = [pid]
    for one in found:  # Grows while it is walked.
        for children in (PROC / str(one) / "task").glob("*/children"):
            with suppress(FileNotFoundError):  # A thread may end meanwhile.
                found += map(int, children.read_text().split())
    return found
