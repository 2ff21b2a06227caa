"""The checks of `dagger call lint` without an engine, each in a copy that holds only what it says that it needs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cowabunga.paths import CHECKOUT
from cowabunga.services import environment
from cowabungaai.lint import FOLDERS, Check, compiled_packages, table
from cowabungaai.wheels import split_lock

SERVICES = sorted(file.parent.name for file in (CHECKOUT / "services").glob("*/pyproject.toml"))
CHECKS = {check.name: check for check in table(SERVICES)}
REPEATER = "services/repeater/src/cowabungaai_repeater/config.py"
CHAT = "services/sdk/proto/cowabungaai/v1/chat.proto"
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
            generated = "__pycache__" in relative.parts or relative.is_relative_to("dagger/sdk")
            if file.is_file() and relative.parts[0] in FOLDERS and not generated:
                (folder / relative).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file, folder / relative)


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
    path = os.pathsep.join(str(python.parents[1] / library) for python in pythons)
    variables = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    return [
        subprocess.run(
            [pythons[-1], *arguments], cwd=folder, env=variables, capture_output=True, text=True, check=False
        )
        for arguments in check.commands
    ]


@pytest.mark.parametrize("name", CHECKS)
def test_check_finds_nothing(name: str, tmp_path: Path) -> None:
    copy_needed(CHECKS[name], tmp_path)
    for finished in run(CHECKS[name], tmp_path):
        assert finished.returncode == 0, finished.stdout + finished.stderr


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("ruff", (REPEATER, '"""', 'import os\n"""'), f"{REPEATER}:1:8: F401"),
        ("ruff", (REPEATER, '"""', '  \n"""'), f"{REPEATER}:1:1: unformatted"),
        ("mypy services/repeater", (REPEATER, '"""', 'wrong: int = "one"\n"""'), f"{REPEATER}:1: error: "),
        ("stubs", (CHAT, "message ", "message Unknown {}\nmessage "), "stale: chat_pb2.py\n"),
        ("contract", (CHAT, "bytes data = 1;", "bytes data = 9;"), "field data was renumbered from 1 to 9"),
        ("locks", (SDK_LOCK, "grpcio==", "grpc=="), "services/sdk/pyproject.toml:13: grpcio>="),
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


def test_all_python_of_the_checkout_is_seen() -> None:
    ignored = {"dist"}
    folders = {file.relative_to(CHECKOUT).parts[0] for file in CHECKOUT.glob("[!.]*/**/*.py")} - ignored
    assert folders | {file.name for file in CHECKOUT.glob("*.py")} <= set(FOLDERS)
