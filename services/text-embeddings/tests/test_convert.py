# SPDX-License-Identifier: Apache-2.0
"""The converter: folders that start without conversion."""

import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import tiny
from cowabungaai_sdk import manifest
from cowabungaai_sdk.models import ModelError, locate
from cowabungaai_text_embeddings import convert
from cowabungaai_text_embeddings.__main__ import main
from cowabungaai_text_embeddings.folder import Folder
from support import embed

TEXTS = ["the cat sits on the mat", "sun"]


def save(folder, out, precision="int8") -> None:
    convert.save(Folder(locate(str(folder))), precision, out)


def files(folder) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.anyio
@pytest.mark.parametrize("family", ["bert", "mpnet"])
@pytest.mark.parametrize("precision", ["int8", "float32"])
async def test_converted_folder_gives_the_same_vectors(serve, tmp_path, family, precision):
    folder, out = tiny.make(tmp_path / "plain", family, dense=5), tmp_path / "made"
    save(folder, out, precision)
    client = await serve(folder, out, precision=precision)
    plain, made = [await embed(client, TEXTS, model=name) for name in ("plain", "made")]
    np.testing.assert_allclose(made, plain, atol=1e-6)
    # The weights that ONNX Runtime has mapped stay there until it lets them go.
    shutil.rmtree(out)
    np.testing.assert_allclose(await embed(client, TEXTS, model="made"), plain, atol=1e-6)


def test_converted_folder_has_what_a_start_needs_and_nothing_else(folder, tmp_path):
    (folder / ".git").mkdir()
    (folder / ".git/config").write_text("")
    (folder / "pytorch_model.bin").write_bytes(b"heavy")
    save(folder, tmp_path / "made")
    kept = set(files(folder)) - {".git/config", "pytorch_model.bin", "model.safetensors"}
    assert set(files(tmp_path / "made")) == {*kept, "encoder_int8.onnx", "encoder_int8.onnx.data"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made", "tiny"]


def shard(folder) -> None:
    """Puts the weights into two files with an index."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    places = {}
    for part in range(2):
        chosen = {name: weights[name] for name in sorted(weights)[part::2]}
        save_file(chosen, folder / f"model-{part}.safetensors")
        places |= dict.fromkeys(chosen, f"model-{part}.safetensors")
    tiny.write_json(folder / "model.safetensors.index.json", {"weight_map": places})


@pytest.mark.anyio
async def test_index_of_several_files_of_weights_stays_behind(serve, folder, tmp_path):
    wanted = await embed(await serve(folder), TEXTS)
    kept = set(files(folder)) - {"model.safetensors"}
    shard(folder)
    save(folder, tmp_path / "made")
    assert set(files(tmp_path / "made")) == {*kept, "encoder_int8.onnx", "encoder_int8.onnx.data"}
    found = await embed(await serve(f"tiny={tmp_path / 'made'}"), TEXTS)
    np.testing.assert_allclose(found, wanted, atol=1e-6)


@pytest.mark.parametrize("path", ["/", "..", "../../etc"])
def test_path_out_of_the_folder_is_told(folder, tmp_path, capsys, path):
    modules = (folder / "modules.json").read_text().replace('"path": ""', f'"path": "{path}"', 1)
    (folder / "modules.json").write_text(modules)
    assert main(["convert", str(folder), str(tmp_path / "made")]) == 1
    assert capsys.readouterr().err.startswith(f"error: {folder}/modules.json names the path {path!r}; expected one")
    assert not (tmp_path / "made").exists()


def test_transformer_may_lie_below_the_folder(folder, tmp_path):
    inner = folder / "0_Transformer"
    inner.mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json", "sentence_bert_config.json"):
        (folder / name).rename(inner / name)
    modules = (folder / "modules.json").read_text().replace('"path": ""', '"path": "0_Transformer"', 1)
    (folder / "modules.json").write_text(modules)
    save(folder, tmp_path / "made")
    assert "0_Transformer/encoder_int8.onnx" in files(tmp_path / "made")


def test_manifest_is_made_anew_and_keeps_licence_and_source(folder, tmp_path):
    known = {"source": "where it is from", "owned_by": "us", "created": 7, "description": "small"}
    described = manifest.describe(folder, "small-one", "Apache-2.0", **known)
    (folder / manifest.NAME).write_text(described.to_json())
    save(folder, tmp_path / "made")
    found = locate(str(tmp_path / "made"), require_manifest=True)
    found.verify()
    assert (found.id, found.manifest.licence) == ("small-one", "Apache-2.0")
    assert {name: getattr(found.manifest, name) for name in known} == known
    assert found.digest != described.digest


def test_folder_that_is_not_as_its_manifest_says_is_not_converted(folder, tmp_path):
    (folder / manifest.NAME).write_text(manifest.describe(folder, "m", "MIT").to_json())
    (folder / "config.json").write_bytes((folder / "config.json").read_bytes()[:-1] + b" ")
    with pytest.raises(ModelError, match=r"config\.json was changed"):
        save(folder, tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_half_made_folder_does_not_stay(folder, tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(convert, "_write", full)
    with pytest.raises(ModelError, match=r"made cannot be made: .*No space left on device"):
        save(folder, tmp_path / "made")
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


def test_same_folder_makes_the_same_bytes(folder, tmp_path):
    for name in ("one", "two"):
        save(folder, tmp_path / name)
    assert all(
        (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
        for name in files(tmp_path / "one")
    )


def test_command_line_converts(folder, tmp_path, capsys):
    out = tmp_path / "made"
    assert main(["convert", str(folder), str(out), "--precision", "float32"]) == 0
    assert "encoder.onnx" in files(out)
    assert main(["convert", str(folder), str(out)]) == 1
    assert f"error: {out} is there already; name a folder that is not, or remove it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("model.safetensors", "has no model.safetensors; there is nothing else that is converted"),
        ("modules.json", "is no sentence-transformers folder"),
        ("", "no model at"),
    ],
)
def test_command_line_tells_what_is_missing(folder, tmp_path, capsys, missing, message):
    (folder / missing).unlink() if missing else shutil.rmtree(folder)
    assert main(["convert", str(folder), str(tmp_path / "made")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert str(folder) in error
