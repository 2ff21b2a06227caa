# SPDX-License-Identifier: Apache-2.0
"""What the pipeline decides of packages without an engine."""

from __future__ import annotations

from pathlib import Path

from cowabungaai.leave_out import leave_out
from cowabungaai.wheels import split_lock

LOCK = """\
llama-cpp-python==0.3.1 \\
    --hash=sha256:aa
numpy==2.1.0 ; python_version >= '3.12' \\
    --hash=sha256:bb \\
    --hash=sha256:cc
nvidia-cublas-cu12==12.1 \\
    --hash=sha256:dd
torch==2.8 \\
    --hash=sha256:ee
"""


def names(text: str) -> list[str]:
    """Packages of a lock file."""
    return [line.split("==")[0] for line in text.splitlines() if not line.startswith(" ")]


def test_a_lock_file_is_parted_by_package_and_keeps_every_hash() -> None:
    chosen, others = split_lock(LOCK, ["nvidia-*", "torch"])
    assert names(chosen) == ["nvidia-cublas-cu12", "torch"]
    assert names(others) == ["llama-cpp-python", "numpy"]
    assert sorted((chosen + others).splitlines()) == sorted(LOCK.splitlines())
    assert "--hash=sha256:cc" in others


def test_no_pattern_takes_part_of_a_name() -> None:
    assert split_lock(LOCK, ["num", "llama-cpp"]) == ("", LOCK)


def test_what_an_image_does_not_need_is_left_out_and_idle_globs_are_told(tmp_path: Path) -> None:
    for path in ("a/tests/x.py", "a/code.py", "b/tests/y.py", "b/lib.so"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    assert leave_out(tmp_path, ["**/tests", "b/lib.so", "c/*"]) == ["c/*"]
    assert [path.as_posix() for path in tmp_path.rglob("*") if path.is_file()] == [str(tmp_path / "a/code.py")]


def test_what_is_left_out_is_in_no_list_of_files(tmp_path: Path) -> None:
    record = tmp_path / "a-1.dist-info" / "RECORD"
    for path in ("b/lib.so", "a/with,comma.py", "a-1.dist-info/RECORD"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    record.write_text('b/lib.so,sha256=x,1\n"a/with,comma.py",sha256=y,2\na-1.dist-info/RECORD,,\n')
    leave_out(tmp_path, ["b/lib.so"])
    assert record.read_text() == '"a/with,comma.py",sha256=y,2\na-1.dist-info/RECORD,,\n'
