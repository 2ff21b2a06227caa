# SPDX-License-Identifier: Apache-2.0
"""A service runs from its sources, in an environment that holds what its lock file names."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cowabunga import services
from cowabunga.cli import app
from cowabunga.errors import MirrorError, UsageError

YAML = 'entrypoint: ["{program}", "-m", "{package}"]\ndepends_on: [{needs}]\n'
MAIN = "import sys, left, right, locked\nprint(left.NAME, right.NAME, locked.NAME, *sys.argv[1:])\n"


def wheel(folder: Path, name: str) -> Path:
    """A wheel of one module, which pip installs without an index."""
    file = folder / f"{name}-1-py3-none-any.whl"
    info = f"{name}-1.dist-info"
    members = {
        f"{name}.py": f"NAME = {name!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(file, "w") as archive:
        for path, text in members.items():
            archive.writestr(path, text)
        rows = [
            f"{path},sha256={urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip('=')},{len(text)}"
            for path, text in members.items()
        ]
        archive.writestr(f"{info}/RECORD", "\n".join([*rows, f"{info}/RECORD,,", ""]))
    return file


def service(folder: Path, name: str, *needs: str, program: str = "python3") -> None:
    """A service whose package has its own name."""
    package = folder / name / "src" / name
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f"NAME = {name!r}\n")
    (folder / name / "service.yaml").write_text(YAML.format(program=program, package=name, needs=", ".join(needs)))


@pytest.fixture
def folder(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Services `top`, which needs `left`, which needs `right`; `top` is locked to one wheel of this folder."""
    found = tmp_path / "services"
    service(found, "top", "left")
    service(found, "left", "right")
    service(found, "right")
    service(found, "compiled", program="/bin/compiled")
    (found / "top" / "src" / "top" / "__main__.py").write_text(MAIN)
    built = wheel(tmp_path, "locked")
    digest = hashlib.sha256(built.read_bytes()).hexdigest()
    (found / "top" / "requirements.lock").write_text(f"locked @ {built.as_uri()} --hash=sha256:{digest}\n")
    monkeypatch.setattr(services, "FOLDER", found)
    return found


def run(words: Sequence[str], variables: dict[str, str], cwd: Path) -> str:
    """What a service's command prints."""
    return subprocess.run(
        words, env={**os.environ, **variables}, cwd=cwd, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_it_runs_with_its_dependencies_and_locked_packages(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "left.py").write_text("raise SystemExit('the folder it is started in took the place of a module')\n")
    words, variables = services.command("top", ["--flag", "a b"])
    assert run(words, variables, tmp_path) == "left right locked --flag a b"


def test_an_environment_is_made_once_and_anew_for_another_lock(folder: Path) -> None:
    first = services.service_environment("top")
    (first.parents[1] / "kept").touch()
    assert services.service_environment("top") == first
    assert (first.parents[1] / "kept").exists()
    lock = folder / "top" / "requirements.lock"
    lock.write_text("# another\n" + lock.read_text())
    assert services.service_environment("top") != first


def test_a_half_made_environment_is_made_anew(folder: Path) -> None:
    python = services.service_environment("top")
    entry = python.parents[1]
    (entry / services.MARKER).unlink()
    (entry / "left-over").touch()
    assert services.service_environment("top") == python
    assert not (entry / "left-over").exists()


def test_a_package_with_another_hash_is_refused_and_nothing_counts(folder: Path, home: Path) -> None:
    lock = folder / "top" / "requirements.lock"
    lock.write_text(lock.read_text().replace("sha256:", "sha256:0")[:-2] + "\n")
    with pytest.raises(MirrorError, match=r"installing the packages of .*requirements\.lock failed"):
        services.service_environment("top")
    assert not list(home.glob(f"venv-*/*/{services.MARKER}"))


def test_an_unknown_service_is_told_with_those_there_are(folder: Path) -> None:
    with pytest.raises(UsageError, match="no service is named 'nosuch'") as raised:
        services.run("nosuch", [])
    assert "compiled, left, right, top" in raised.value.hint


def test_what_is_no_python_program_is_told(folder: Path) -> None:
    with pytest.raises(UsageError, match="'compiled' starts with '/bin/compiled'"):
        services.load("compiled")


@pytest.mark.parametrize("text", ["a: [", "a: 1", "- 1"])
def test_an_unreadable_description_is_told_by_its_file(folder: Path, text: str) -> None:
    (folder / "right" / "service.yaml").write_text(text)
    with pytest.raises(UsageError, match=r"right/service\.yaml has no readable entrypoint"):
        services.load("top")


def test_the_gateways_database_is_a_file_that_only_its_owner_reaches(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable = services.DATABASES["api"]
    monkeypatch.delenv(variable, raising=False)
    assert services.database("api") == {variable: f"sqlite:///{home}/run/api/api.db"}
    assert stat.S_IMODE((home / "run" / "api").stat().st_mode) == 0o700


def test_a_database_that_is_set_stays(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(services.DATABASES["api"], "postgresql://elsewhere/x")
    assert services.database("api") == {}
    assert services.database("repeater") == {}


def test_every_service_of_this_checkout_can_be_loaded() -> None:
    assert {"api", "repeater", "sdk"} <= set(services.names())
    for name in services.names():
        loaded = services.load(name)
        assert loaded.arguments[0] == "-m"
        assert all(source.is_dir() for source in loaded.sources)


def test_help_is_the_commands_own_and_arguments_are_the_services(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(services, "run", lambda name, arguments, settings: given.append((name, arguments)))
    shown = CliRunner().invoke(app, ["run", "--help"])
    assert shown.exit_code == 0
    assert "without an image" in shown.stdout
    assert given == []
    assert CliRunner().invoke(app, ["run", "api", "--port", "1", "--help"]).exit_code == 0
    assert given == [("api", ["--port", "1", "--help"])]


def test_the_environments_python_is_this_ones_version(folder: Path) -> None:
    python = services.service_environment("top")
    shown = subprocess.run([python, "-VV"], capture_output=True, text=True, check=True).stdout
    assert shown.split(maxsplit=2)[1] == sys.version.split()[0]
