# SPDX-License-Identifier: Apache-2.0
"""The committed stubs are those of the contract."""

import subprocess
import sys
from pathlib import Path

import cowabungaai_sdk.v1

GENERATE = Path(__file__).parents[1] / "generate.py"
STUBS = Path(cowabungaai_sdk.v1.__path__[0])


def check(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, GENERATE, "--check", "--out", folder]
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own script


def test_installed_stubs_are_fresh():
    result = check(STUBS)
    assert result.returncode == 0, result.stderr


def test_stale_stub_is_named(tmp_path):
    for stub in STUBS.glob("*_pb2*"):
        (tmp_path / stub.name).write_text(stub.read_text())
    (tmp_path / "chat_pb2.py").write_text("")
    # In the image the root of the repository is that of all files, from which paths are told.
    stub = (tmp_path / "chat_pb2.py").relative_to(tmp_path.anchor)
    assert f"{stub}:1: stale\n" in check(tmp_path).stderr
