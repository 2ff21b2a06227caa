# SPDX-License-Identifier: Apache-2.0
"""What the checks of `dagger call lint` find, without an engine, each in a copy of only what it says that it needs.

That they find nothing in the checkout itself is shown where all of them run: tests/integration/test_lint_run.py.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

from cowabunga.paths import CHECKOUT
from cowabunga.services import environment
from cowabungaai.lint import LEFT_OUT, Check, compiled_packages, table
from cowabungaai.wheels import split_lock

SERVICES = sorted(file.parent.name for file in (CHECKOUT / "services").glob("*/pyproject.toml"))
# The others need tools or files that the engine makes of Go modules: tests/integration/test_lint_run.py.
CHECKS = {check.name: check for check in table(SERVICES) if not check.tools and not check.files}
REPEATER = "services/repeater/src/cowabungaai_repeater/config.py"
CHAT = "services/sdk/proto/cowabungaai/v1/chat.proto"
STUBS = "services/sdk/src/cowabungaai_sdk/v1"
SDK_LOCK = "services/sdk/requirements.lock"


def name_of(lock: str) -> str:
    """An environment's name; that of a service's own packages is the one in which the launcher runs it."""
    folder, file = Path(lock).parent.name, Path(lock).stem
    if folder == "requirements":
        return file
    return f"service-{folder}{file.removeprefix('requirements')}"


def copy_needed(check: Check, folder: Path) -> None:
    """What a check needs of the checkout."""
    for pattern in check.needs:
        # A last ** means folders alone to pathlib.
        for file in CHECKOUT.glob(f"{pattern}/*" if pattern.endswith("**") else pattern):
            relative = file.relative_to(CHECKOUT)
            if file.is_file() and not left_out(relative):
                (folder / relative).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file, folder / relative)


def left_out(file: Path) -> bool:
    """Whether the engine is not given a file."""
    return any(
        any(fnmatch(part, pattern.removeprefix("**/")) for part in file.parts)
        if pattern.startswith("**/")
        else file.is_relative_to(pattern)
        for pattern in LEFT_OUT
    )


def python_with(lock: str, folder: Path) -> Path:
    """A Python with a lock's packages, but for those that would have to be compiled: `lint` leaves them out, too."""
    file, service = CHECKOUT / lock, CHECKOUT / Path(lock).with_name("service.yaml")
    compiled = compiled_packages(service.read_text(), str(service)) if service.exists() else []
    if not compiled:
        return environment(name_of(lock), file)
    _, wheels_only = split_lock(file.read_text(), compiled)
    shortened = folder / "requirements.lock"
    shortened.write_text(wheels_only)
    return environment(f"{name_of(lock)}-wheels", shortened)


def run(check: Check, folder: Path) -> list[subprocess.CompletedProcess[str]]:
    """The check's programs, with the packages that they need."""
    pythons = [python_with(lock, folder) for lock in check.packages]
    library = Path("lib", f"python{sys.version_info.major}.{sys.version_info.minor}", "site-packages")
    imports = [*(python.parents[1] / library for python in pythons), *(folder / one for one in check.imports)]
    programs = [python.parent for python in reversed(pythons)]
    variables = {
        **os.environ,
        "PATH": os.pathsep.join([*map(str, programs), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join(map(str, imports)),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return [
        subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
        for command in check.commands
    ]


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("ruff", (REPEATER, '"""', 'import os\n"""'), f"{REPEATER}:2:8: F401"),
        ("ruff", (REPEATER, '"""', '  \n"""'), f"{REPEATER}:2:1: unformatted"),
        ("mypy services/repeater", (REPEATER, '"""', 'wrong: int = "one"\n"""'), f"{REPEATER}:2: error: "),
        ("stubs", (CHAT, "message ", "message Unknown {}\nmessage "), f"{STUBS}/chat_pb2.py:1: stale\n"),
        ("contract", (CHAT, "bytes data = 1;", "bytes data = 9;"), "field data was renumbered from 1 to 9"),
        ("locks", (SDK_LOCK, "grpcio==", "grpc=="), "services/sdk/pyproject.toml:14: grpcio>="),
    ],
)
def test_a_mistake_is_found(name: str, change: tuple[str, str, str], message: str, tmp_path: Path) -> None:
    file, old, new = change
    copy_needed(CHECKS[name], tmp_path)
    text = (tmp_path / file).read_text()
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new, 1))
    finished = run(CHECKS[name], tmp_path)
    assert message in "".join(one.stdout + one.stderr for one in finished)
    assert {one.returncode for one in finished} - {0} == {1}


@pytest.mark.parametrize(
    ("name", "file", "text", "message"),
    [
        ("hadolint", "services/api/Dockerfile", "FROM debian\n", "services/api/Dockerfile:1 DL3006"),
        ("hadolint", "Containerfile.gpu", "FROM debian:13\nRUN cd /\n", "Containerfile.gpu:2 DL3003"),
        ("licences", "toolchain/src/new.py", "import os\n", "toolchain/src/new.py:1: expected the line"),
        ("licences", "services/new/run.sh", "#!/bin/sh\ntrue\n", "services/new/run.sh:2: expected the line"),
        (
            "licences",
            "services/new/pyproject.toml",
            "\n[project]\nname = 'a'\n",
            "services/new/pyproject.toml:2: expected",
        ),
        ("links", "docs/new.md", "# New\n\n[a](none.md)\n", "docs/new.md:3: docs/none.md: File not found"),
        ("links", "docs/new.md", "# New\n\n[a](#old)\n", "docs/new.md:3: docs/new.md#old: Cannot find fragment"),
        ("links", "docs/new.md", "[a](/services/none)\n", "docs/new.md:1: services/none: File not found"),
    ],
)
def test_a_mistake_in_a_new_file_is_found(name: str, file: str, text: str, message: str, tmp_path: Path) -> None:
    copy_needed(CHECKS[name], tmp_path)
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(text)
    finished = run(CHECKS[name], tmp_path)
    assert message in "".join(one.stdout + one.stderr for one in finished)
    assert {one.returncode for one in finished} == {1}
