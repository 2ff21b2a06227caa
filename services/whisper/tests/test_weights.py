# SPDX-License-Identifier: Apache-2.0
"""Model folders that are wrong."""

import json
import shutil
import struct
from pathlib import Path

import pytest

from cowabungaai_sdk.models import LocalModel, ModelError
from cowabungaai_whisper.config import WhisperConfig
from cowabungaai_whisper.engine import Engine
from cowabungaai_whisper.weights import Weights, inspect
from support import small_model


@pytest.fixture
def folder(multilingual: LocalModel, tmp_path: Path) -> Path:
    """A copy, to be broken."""
    return shutil.copytree(multilingual.path, tmp_path / "model")


def refusal(folder: Path) -> str:
    with pytest.raises(ModelError) as raised:
        inspect(folder)
    return str(raised.value)


def test_model_tells_its_languages_and_bands(folder, tmp_path):
    assert inspect(folder) == Weights(folder, multilingual=True, mel_bands=80)
    english = small_model(tmp_path / "english", multilingual=False).path
    assert inspect(english) == Weights(english, multilingual=False, mel_bands=80)


def test_vocabulary_may_be_a_text_file(folder):
    tokens = json.loads((folder / "vocabulary.json").read_text())
    (folder / "vocabulary.json").unlink()
    (folder / "vocabulary.txt").write_text("".join(f"{token}\n" for token in tokens))
    assert inspect(folder).multilingual


@pytest.mark.parametrize("name", ["model.bin", "config.json", "tokenizer.json", "vocabulary.json"])
def test_missing_file_is_named(folder, name):
    (folder / name).unlink()
    assert name in refusal(folder)
    assert "ct2-transformers-converter" in refusal(folder)


def test_file_instead_of_folder_is_refused(folder):
    assert "model.bin is a file; expected the folder" in refusal(folder / "model.bin")


@pytest.mark.parametrize("kept", [0, 3, 30, 1000, 100_000, -1])
def test_truncated_weights_are_refused(folder, kept):
    path = folder / "model.bin"
    path.write_bytes(path.read_bytes()[:kept])
    assert f"{path} is truncated" in refusal(folder)
    assert "copy it again" in refusal(folder)


@pytest.mark.parametrize(
    ("begin", "message"),
    [
        (b"GGUF" + bytes(100), "begins with version 1179993927, expected 4 to 6"),
        (struct.pack("<IH", 6, 16) + b"TransformerSpec\0" + bytes(100), "is a 'TransformerSpec' of CTranslate2"),
        (struct.pack("<IH", 6, 12) + b"WhisperSpec\0" + struct.pack("<III", 3, 0, 0), "lacks a variable of Whisper's"),
    ],
)
def test_other_weights_are_refused(folder, begin, message):
    (folder / "model.bin").write_bytes(begin)
    assert message in refusal(folder)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", "{", "config.json is no JSON"),
        ("config.json", "[]", "config.json holds a JSON list; expected an object"),
        ("vocabulary.json", "{}", "vocabulary.json holds a JSON dict; expected a list"),
        ("vocabulary.json", '["a"]', "has 1 tokens, and model.bin has 51865"),
        ("tokenizer.json", '{"added_tokens": []}', "tokenizer.json is no tokenizer of Whisper's"),
        ("preprocessor_config.json", '{"feature_size": 128}', "says feature_size 128, and model.bin has 80"),
    ],
)
def test_wrong_file_is_named(folder, name, content, message):
    (folder / name).write_text(content)
    assert message in refusal(folder)


def test_tokenizer_of_another_model_is_refused(folder, tmp_path):
    english = small_model(tmp_path / "english", multilingual=False).path
    shutil.copy(folder / "tokenizer.json", english)
    assert "do not belong together: the tokenizer needs 51865 tokens, the model knows 51864" in refusal(english)


def test_tokenizer_that_cannot_be_loaded_is_refused(folder):
    path = folder / "tokenizer.json"
    path.write_text(json.dumps({"added_tokens": json.loads(path.read_text())["added_tokens"]}))
    with pytest.raises(ModelError, match="cannot be loaded on cpu"):
        Engine(inspect(folder), WhisperConfig(device="cpu"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"device": "cpu", "compute_type": "int3"}, "cpu does not compute with 'int3'; choose a --compute-type of"),
        ({"device": "cuda"}, "there is no CUDA device here; choose --device cpu"),
    ],
)
def test_device_that_cannot_is_refused(multilingual, settings, message):
    with pytest.raises(ModelError, match=message):
        Engine(inspect(multilingual.path), WhisperConfig(**settings))
