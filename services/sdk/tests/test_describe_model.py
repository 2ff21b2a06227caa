# SPDX-License-Identifier: Apache-2.0
"""A model's folder is checked before it is packaged, or described where it has no manifest."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from cowabungaai_sdk import manifest as manifests

PROGRAM = Path(__file__).resolve().parents[1] / "describe_model.py"


@pytest.fixture(scope="module")
def program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("describe_model", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "a.gguf").write_bytes(b"weights")
    return folder


def test_a_folder_without_manifest_is_described(program: ModuleType, model: Path, tmp_path: Path) -> None:
    program.main(str(model), str(tmp_path / "out"), "mine", "MIT")
    facts = json.loads((tmp_path / "out/facts.json").read_text())
    manifest = manifests.describe(model, "mine", "MIT")
    assert facts["digest"] == manifest.digest
    assert (facts["id"], facts["licence"]) == ("mine", "MIT")
    assert (tmp_path / "out/manifest.json").read_text() == manifest.to_json()


def test_without_manifest_id_and_licence_are_needed(program: ModuleType, model: Path) -> None:
    with pytest.raises(manifests.ModelError, match="give its id and its licence"):
        program.described(model, "mine", "")


def test_a_manifest_is_taken_as_it_is(program: ModuleType, model: Path) -> None:
    manifest = manifests.describe(model, "mine", "MIT", source="here")
    (model / manifests.NAME).write_text(manifest.to_json())
    assert program.described(model, "", "") == manifest


def test_changed_weights_are_refused(program: ModuleType, model: Path) -> None:
    (model / manifests.NAME).write_text(manifests.describe(model, "mine", "MIT").to_json())
    (model / "a.gguf").write_bytes(b"weightz")
    with pytest.raises(manifests.ModelError, match=r"a\.gguf"):
        program.described(model, "", "")


def test_another_licence_than_the_manifests_is_refused(program: ModuleType, model: Path) -> None:
    (model / manifests.NAME).write_text(manifests.describe(model, "mine", "MIT").to_json())
    with pytest.raises(manifests.ModelError, match="Leave them out"):
        program.described(model, "", "Apache-2.0")
