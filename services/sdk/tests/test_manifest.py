# SPDX-License-Identifier: Apache-2.0
"""A model's manifest: what is read, and what a folder that differs from it is refused for."""

import json

import pytest

from cowabungaai_sdk import manifest
from cowabungaai_sdk.manifest import ModelError

WEIGHTS = b"weights" * 1000


@pytest.fixture
def folder(tmp_path):
    """A model of two files, with its manifest."""
    (tmp_path / "deeper").mkdir()
    (tmp_path / "weights.bin").write_bytes(WEIGHTS)
    (tmp_path / "deeper" / "config.json").write_text("{}")
    made = manifest.describe(tmp_path, "small", "MIT", source="here", created=5)
    (tmp_path / manifest.NAME).write_text(made.to_json())
    return tmp_path


def changed(folder, **fields):
    """Writes the manifest with other fields; None removes one."""
    raw = json.loads((folder / manifest.NAME).read_text()) | fields
    kept = {name: value for name, value in raw.items() if value is not None}
    (folder / manifest.NAME).write_text(json.dumps(kept))


def test_what_is_written_is_read(folder):
    found = manifest.read(folder)
    assert (found.id, found.licence, found.source, found.created) == ("small", "MIT", "here", 5)
    assert [file.path for file in found.files] == ["deeper/config.json", "weights.bin"]
    assert found.size == len(WEIGHTS) + 2
    manifest.verify(folder, found)


def test_a_folder_without_one_has_none(tmp_path):
    assert manifest.read(tmp_path) is None


def test_the_digest_names_the_weights_and_nothing_else(folder):
    before = manifest.read(folder)
    changed(folder, id="other", licence="Apache-2.0")
    assert manifest.read(folder).digest == before.digest
    (folder / "weights.bin").write_bytes(WEIGHTS[:-1] + b"!")
    assert manifest.describe(folder, "small", "MIT").digest != before.digest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.write_bytes(WEIGHTS[:-1]), "weights.bin is truncated: expected 7000 bytes, found 6999"),
        (lambda file: file.write_bytes(WEIGHTS + b"!"), "weights.bin is too long: expected 7000 bytes, found 7001"),
        (lambda file: file.write_bytes(b"W" + WEIGHTS[1:]), "weights.bin was changed: expected sha256"),
        (lambda file: file.unlink(), "weights.bin cannot be read: No such file"),
        (lambda file: file.with_name("more.onnx").touch(), "more.onnx is not in the manifest"),
    ],
)
def test_a_folder_that_differs_is_refused_with_the_files_name(folder, change, message):
    change(folder / "weights.bin")
    with pytest.raises(ModelError, match="model 'small' is not what its manifest says") as refused:
        manifest.verify(folder, manifest.read(folder))
    assert message in str(refused.value)


def test_all_files_that_differ_are_named(folder):
    (folder / "weights.bin").write_bytes(b"")
    (folder / "deeper" / "config.json").unlink()
    with pytest.raises(ModelError) as refused:
        manifest.verify(folder, manifest.read(folder))
    assert "weights.bin" in str(refused.value)
    assert "config.json" in str(refused.value)


SHA = "0" * 64


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"format": 2}, "format: expected 1, found 2"),
        ({"id": "a b"}, "id: expected letters, digits"),
        ({"id": None}, "id: expected letters, digits"),
        ({"licence": " "}, "licence: expected a name"),
        ({"created": -1}, "created: expected seconds"),
        ({"source": 5}, "source: expected a text"),
        ({"colour": "red"}, "colour: no such field; expected created, description, files"),
        ({"files": []}, "files: expected a list of at least one file"),
        ({"files": [{"path": "x"}]}, "files.0: expected an object of path, size and sha256"),
        ({"files": [{"path": "../x", "size": 1, "sha256": SHA}]}, "files.0.path: expected a path below the folder"),
        ({"files": [{"path": "/x", "size": 1, "sha256": SHA}]}, "files.0.path: expected a path below the folder"),
        ({"files": [{"path": "a//b", "size": 1, "sha256": SHA}]}, "files.0.path: expected a path below the folder"),
        ({"files": [{"path": "x", "size": True, "sha256": SHA}]}, "files.0.size: expected bytes, found True"),
        ({"files": [{"path": "x", "size": 1, "sha256": "0"}]}, "files.0.sha256: expected 64 hexadecimal digits"),
        ({"files": [{"path": "x", "size": 1, "sha256": SHA}] * 2}, "'x' is there twice"),
    ],
)
def test_a_wrong_manifest_is_refused_with_the_field(folder, fields, message):
    changed(folder, **fields)
    with pytest.raises(ModelError) as refused:
        manifest.read(folder)
    assert str(folder / manifest.NAME) in str(refused.value)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("not json", "is not valid JSON"),
        ("[" * 100_000, "is not valid JSON"),
        ("[]", "expected an object"),
        (" " * (manifest.MAX_BYTES + 1), "is too long for a manifest"),
    ],
)
def test_what_is_no_manifest_is_refused(folder, content, message):
    (folder / manifest.NAME).write_text(content)
    with pytest.raises(ModelError, match=message):
        manifest.read(folder)


def test_a_folder_without_files_cannot_be_described(tmp_path):
    with pytest.raises(ModelError, match="holds no file"):
        manifest.describe(tmp_path, "small", "MIT")


def test_a_name_that_cannot_be_one_is_not_written(folder):
    with pytest.raises(ModelError, match="id: expected letters"):
        manifest.describe(folder, "a/b", "MIT")
