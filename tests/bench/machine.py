# SPDX-License-Identifier: Apache-2.0
"""What the machine is, and which versions did the work."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from pathlib import Path

from bench.report import Machine
from cowabunga import gotools
from cowabunga.process import capture

CPU_INFO = Path("/proc/cpuinfo")
MODEL = re.compile(r"^(?:model name|Model)\s*:\s*(.+)$", re.MULTILINE)
TOOLS = ("dagger", "zarf")


def describe() -> Machine:
    """The machine as it is now."""
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        cpu=cpu_model(CPU_INFO.read_text() if CPU_INFO.exists() else ""),
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        kernel=f"{platform.system()} {platform.release()}",
        load=round(os.getloadavg()[0], 2),
    )


def cpu_model(text: str) -> str:
    """The processor's name in the text of /proc/cpuinfo; its architecture where it tells none."""
    found = MODEL.search(text)
    return " ".join(found.group(1).split()) if found else platform.machine()


def versions(checkout: Path, tools: Sequence[str] = TOOLS) -> dict[str, str]:
    """Versions by name: the sources' commit where git knows it, the pinned tools', Python's.

    Args:
        checkout: Folder of the sources.
        tools: Names of the tools.
    """
    found = {name: gotools.load(name).version for name in tools} | {"python": platform.python_version()}
    code, commit = capture(["git", "-C", checkout, "describe", "--always", "--dirty", "--abbrev=12"])
    return {"sources": commit, **found} if code == 0 else found


def pinned(package: str, lock: Path) -> str:
    """The version of a package that a lock file names; empty where it names none.

    Args:
        package: As it is spelt there.
        lock: The file.
    """
    found = re.search(rf"^{re.escape(package)}(?:\[[^]]*\])?==(\S+)", lock.read_text(), re.MULTILINE)
    return found.group(1) if found else ""
