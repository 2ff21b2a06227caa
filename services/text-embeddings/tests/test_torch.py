# SPDX-License-Identifier: Apache-2.0
"""The engine of the gpu flavor, beyond the contract that both engines keep."""

from importlib.util import find_spec

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import tiny
from cowabungaai_sdk.models import ModelError, locate
from cowabungaai_text_embeddings.config import Settings, installed_engine
from cowabungaai_text_embeddings.model import EmbeddingModel
from reference import Reference
from support import cosines, embed

TEXTS = ["the cat sits on the mat", "sun", "a dog runs fast on the street"]

pytestmark = [
    pytest.mark.torch,
    pytest.mark.skipif(
        not find_spec("sentence_transformers"),
        reason="torch and sentence-transformers are not installed: they are in the gpu flavor only",
    ),
]


def refusal(folder, **settings) -> str:
    model = EmbeddingModel(locate(str(folder)), Settings(engine="torch", **settings))
    with pytest.raises(ModelError) as raised:
        model.load()
    model.close()
    return str(raised.value)


def test_it_is_the_engine_where_it_is_installed():
    assert installed_engine() == "torch"


def test_int8_is_refused(folder):
    assert "precision is int8, which torch's engine has not got; expected float32" in refusal(folder, precision="int8")


def test_device_that_is_not_there_is_refused(folder):
    said = refusal(folder, device="warp")
    assert f"sentence-transformers cannot load {folder}" in said
    assert "warp" in said


@pytest.mark.parametrize("kept", [0, 1000, -1])
def test_truncated_weights_are_refused(folder, kept):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    assert f"sentence-transformers cannot load {folder}" in refusal(folder)


@pytest.mark.parametrize("place", ["", "2_Dense"])
def test_pickles_are_not_read(tmp_path, place):
    folder = tiny.make(tmp_path / "tiny", dense=7)
    path, ran = folder / place / "model.safetensors", tmp_path / "ran"
    path.unlink()
    pickle = b"cbuiltins\nopen\n(S'" + str(ran).encode() + b"'\nS'w'\ntR."
    path.with_name("pytorch_model.bin").write_bytes(pickle)
    said = refusal(folder)
    assert str(path.parent) in said
    assert "model.safetensors" in said
    assert "other formats are not read" in said.lower()
    assert not ran.exists()


def test_code_in_the_folder_is_not_run(folder, tmp_path):
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Evil: ...\n")
    modules = (folder / "modules.json").read_text()
    (folder / "modules.json").write_text(modules.replace("sentence_transformers.models.Normalize", "evil.Normalize"))
    refusal(folder)
    assert not (tmp_path / "ran").exists()


@pytest.mark.anyio
@pytest.mark.parametrize("precision", [None, "float32"])
@pytest.mark.parametrize("dense", [None, 7])
async def test_model_saved_in_half_precision(serve, tmp_path, precision, dense):
    folder = tiny.make(tmp_path / "tiny", dense=dense)
    weights = {name: value.astype(np.float16) for name, value in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    wanted = np.array([Reference(folder).embed(text) for text in TEXTS])
    found = await embed(await serve(folder, engine="torch", precision=precision), TEXTS)
    assert found.dtype == np.float32
    assert cosines(found, wanted).min() > (0.9999 if precision else 0.999)


@pytest.mark.anyio
async def test_streams_share_the_model(serve, folder):
    found = await embed(await serve(folder, engine="torch", streams=3, max_batch_tokens=16, threads=1), TEXTS * 50)
    wanted = np.array([Reference(folder).embed(text) for text in TEXTS * 50])
    assert cosines(found, wanted).min() > 0.9999
