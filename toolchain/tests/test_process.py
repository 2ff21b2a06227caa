# SPDX-License-Identifier: Apache-2.0
"""Failures of other programs are told by their cause."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cowabunga.errors import CowabungaError, DiskFullError, HostError, JobError, MirrorError
from cowabunga.paths import TOOLCHAIN
from cowabunga.process import classify, failure_of, need, run_logged


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("dial tcp 127.0.0.1:9: connect: connection refused", MirrorError),
        ("write /x: no space left on device", DiskFullError),
        ("E: Temporary failure resolving 'mirror'", MirrorError),
        ("main.go:3:1: syntax error", JobError),
    ],
)
def test_cause_is_read_from_the_output(text: str, kind: type[CowabungaError]) -> None:
    assert classify(text) is kind


def test_failure_holds_the_last_lines_and_the_log(home: Path) -> None:
    log = home / "x.log"
    script = "print('first'); print('the reason'); raise SystemExit(3)"
    with pytest.raises(JobError, match="exit code 3") as caught:
        run_logged([sys.executable, "-c", script], log, "the step")
    assert "the reason" in caught.value.message
    assert str(log) in caught.value.hint


def test_missing_program_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HostError, match="no-such-program"):
        need("no-such-program")


def error_of(number: int) -> OSError:
    return OSError(number, os.strerror(number), "the/file")


@pytest.mark.parametrize(
    ("number", "kind", "message"),
    [
        (errno.ENOSPC, DiskFullError, "no space left: the/file: No space left on device"),
        (errno.EDQUOT, DiskFullError, "no space left: the/file: Disk quota exceeded"),
        (errno.EACCES, HostError, "the/file: Permission denied"),
        (errno.EROFS, HostError, "the/file: Read-only file system"),
        (errno.ENOENT, JobError, "the/file: No such file or directory"),
    ],
)
def test_an_error_of_the_system_names_its_file(number: int, kind: type[CowabungaError], message: str) -> None:
    failure = failure_of(error_of(number))
    assert (type(failure), failure.message) == (kind, message)


def test_of_several_files_that_for_which_there_was_no_space_is_told() -> None:
    several = [("a", "b", str(error_of(errno.ENOENT))), ("c", "d", str(error_of(errno.ENOSPC)))]
    failure = failure_of(shutil.Error(several))
    assert type(failure) is DiskFullError
    assert failure.message.startswith("no space left: c: [Errno 28] No space left on device")
    assert failure.message.endswith(", and 1 more")


def launch(home: Path, *arguments: str | Path) -> tuple[int, str]:
    """Exit code and error output of the launcher."""
    variables = {**os.environ, "PYTHONPATH": str(TOOLCHAIN / "src"), "COWABUNGA_HOME": str(home)}
    command = [sys.executable, "-m", "cowabunga", *arguments]
    finished = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    return finished.returncode, finished.stderr


def test_a_file_that_cannot_be_read_is_told_without_a_traceback(home: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "w.bin").symlink_to("/no/such")
    code, told = launch(home, "models", "add", mine, "--service=repeater", "--licence=MIT")
    assert code == 1
    assert f"✗ {mine / 'w.bin'}: [Errno 2] No such file or directory: '{mine / 'w.bin'}'" in told
    assert "Traceback" not in told
    assert list((home / "models" / "repeater").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_disk_that_a_models_folder_fills_is_told_as_such(home: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "w.bin").write_bytes(b"\0" * 1_000_000)
    home.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(home)], check=True)
    try:
        code, told = launch(home, "models", "add", mine, "--service=repeater", "--licence=MIT")
        assert code == DiskFullError.exit_code
        assert "✗ no space left: " in told
        assert "Traceback" not in told
        assert list((home / "models" / "repeater").iterdir()) == []
    finally:
        subprocess.run(["umount", str(home)], check=True)
