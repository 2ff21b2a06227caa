# SPDX-License-Identifier: Apache-2.0
"""Cache entries appear whole or not at all, whatever happens meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cowabunga import store
from cowabunga.errors import DiskFullError

ENVIRONMENT = {"PYTHONPATH": str(Path(store.__file__).parents[1])}
SLOW_BUILD = """
import sys, time
from pathlib import Path
from cowabunga import store

def build(target):
    (target / "half").write_text("half")
    Path(sys.argv[1]).touch()
    time.sleep(float(sys.argv[2]))
    (target / "whole").write_text("whole")

store.ensure("thing", "key", build)
"""


def start(marker: Path, seconds: float) -> subprocess.Popen[bytes]:
    """Another launcher that builds the same entry and takes its time."""
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_BUILD, str(marker), str(seconds)], env=ENVIRONMENT | dict(os.environ)
    )
    deadline = time.monotonic() + 30
    while not marker.exists():
        assert time.monotonic() < deadline, "the other launcher did not begin"
        time.sleep(0.02)
    return process


def write(target: Path) -> None:
    """A build that succeeds at once."""
    (target / "whole").write_text("whole")


def test_entry_is_built_once(home: Path) -> None:
    calls: list[Path] = []

    def build(target: Path) -> None:
        calls.append(target)
        write(target)

    first, second = store.ensure("thing", "key", build), store.ensure("thing", "key", build)
    assert first == second == home / "thing" / "key"
    assert len(calls) == 1


def test_killed_build_leaves_nothing_that_counts(home: Path, tmp_path: Path) -> None:
    process = start(tmp_path / "begun", 60)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list((home / "thing").glob("key.staging-*"))
    entry = store.ensure("thing", "key", write)
    assert (entry / "whole").read_text() == "whole"
    assert not (entry / "half").exists()
    assert not list((home / "thing").glob("key.staging-*"))


def test_second_launcher_waits_for_the_first(home: Path, tmp_path: Path) -> None:
    process = start(tmp_path / "begun", 1)

    def never(target: Path) -> None:
        pytest.fail("built although the other launcher was at it")

    entry = store.ensure("thing", "key", never)
    assert (entry / "half").exists()
    assert process.wait() == 0


@pytest.mark.parametrize("damage", ["truncate", "alter", "delete"])
def test_damaged_entry_is_built_anew(home: Path, damage: str) -> None:
    entry = store.ensure("thing", "key", write)
    file = entry / "whole"
    if damage == "truncate":
        file.write_text("")
    elif damage == "alter":
        file.write_text("WHOLE")
    else:
        file.unlink()
    assert (store.ensure("thing", "key", write) / "whole").read_text() == "whole"


def write_much(target: Path) -> None:
    (target / "big").write_bytes(b"\0" * 1_000_000)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_full_disk_is_told_and_recovered_from(home: Path) -> None:
    home.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(home)], check=True)
    try:
        with pytest.raises(DiskFullError, match="no space left"):
            store.ensure("thing", "key", write_much)
        assert not list((home / "thing").glob("*"))
        assert (store.ensure("thing", "key", write) / "whole").exists()
    finally:
        subprocess.run(["umount", str(home)], check=True)
