# SPDX-License-Identifier: Apache-2.0
"""The runtime of Python modules follows the official one's rules."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

RUNTIME = Path(__file__).parents[1] / "sdk-python" / "runtime"


def load(name: str) -> ModuleType:
    """A script of the runtime, as a module."""
    spec = importlib.util.spec_from_file_location(f"runtime_{name}", RUNTIME / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


discover = load("discover")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("cowabungaai", "Cowabungaai"), ("my-module", "MyModule"), ("my_module", "MyModule"), ("myModule", "MyModule")],
)
def test_main_object_is_the_name_in_pascal_case(name: str, expected: str) -> None:
    assert discover.main_object(name) == expected


@pytest.mark.parametrize(
    ("toml", "version_file", "image"),
    [
        ('[tool.dagger]\nbase-image = "acme/python:1"', "3.12", "acme/python:1"),
        ("", "3.12", "python:3.12-slim"),
        ('[project]\nname = "x"\nrequires-python = ">=3.13"', "", "python:3.13-slim"),
        ('[project]\nname = "x"\nrequires-python = "<4"', "", discover.DEFAULT_IMAGE),
        ("", "", discover.DEFAULT_IMAGE),
    ],
)
def test_base_image(tmp_path: Path, toml: str, version_file: str, image: str) -> None:
    (tmp_path / "pyproject.toml").write_text(toml)
    if version_file:
        (tmp_path / ".python-version").write_text(version_file + "\n")
    assert discover.discover(tmp_path, "x", [])["base-image"] == image


def test_package_is_the_projects_name(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "My.Pretty-Project"')
    assert discover.discover(tmp_path, "other", [])["package"] == "my_pretty_project"


def test_package_without_a_project_name_is_the_modules_name(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("")
    assert discover.discover(tmp_path, "myModule", [])["package"] == "my_module"


def test_dependencies_on_other_modules_are_refused_clearly(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="depends on other-module"):
        discover.discover(tmp_path, "x", ["other-module"])


def test_missing_project_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no pyproject\.toml"):
        discover.discover(tmp_path, "x", [])


def test_facts_hold_the_lock_files(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "requirements.lock").write_text("a==1\n")
    discover.main(tmp_path, tmp_path / "facts", "x", "[]")
    assert (tmp_path / "facts" / "requirements.lock").read_text() == "a==1\n"


def test_client_library_has_the_engines_version() -> None:
    import json

    install = load("install")
    pinned = json.loads((RUNTIME.parents[1] / "go" / "dagger" / "build.json").read_text())["version"]
    assert f"dagger-io=={pinned.removeprefix('v')}" == install.CLIENT
