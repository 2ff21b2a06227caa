# SPDX-License-Identifier: Apache-2.0
"""Model folders: those that are wrong, and those of other forms."""

import json
import shutil

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file, save_file

import tiny
from cowabungaai_sdk import manifest
from cowabungaai_sdk.models import ModelError, locate
from cowabungaai_text_embeddings.config import Settings
from cowabungaai_text_embeddings.folder import Folder
from cowabungaai_text_embeddings.model import EmbeddingModel
from reference import Reference
from support import embed

TEXTS = ["the cat sits on the mat", "sun"]
POOLING = {"word_embedding_dimension": tiny.WIDTH, "pooling_mode_mean_tokens": True}


def refusal(folder, **settings) -> str:
    with pytest.raises(ModelError) as raised:
        load(folder, **settings)
    return str(raised.value)


def load(folder, **settings) -> None:
    model = EmbeddingModel(locate(str(folder)), Settings(**settings))
    try:
        model.load()
    finally:
        model.close()


def change(path, **changes) -> None:
    tiny.write_json(path, {**json.loads(path.read_text()), **changes})


def exported(folder, place="onnx/model.onnx", *, mask=True, types=True, output="last_hidden_state", **declared) -> None:
    """Puts an ONNX file into a folder, with inputs and output as exporters name them: a token's vector is its row."""
    rows = load_file(folder / "model.safetensors")["embeddings.word_embeddings.weight"]
    names = ["input_ids", *(["attention_mask"] if mask else []), *(["token_type_ids"] if types else [])]
    inputs = [
        helper.make_tensor_value_info(declared.get(name, name), TensorProto.INT64, ["batch", "sequence"])
        for name in names
    ]
    made = helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", "sequence", tiny.WIDTH])
    nodes = [helper.make_node("Gather", ["rows", declared.get("input_ids", "input_ids")], [output])]
    graph = helper.make_graph(nodes, "g", inputs, [made], [numpy_helper.from_array(rows, "rows")])
    (folder / place).parent.mkdir(exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), folder / place)


def rows_mean(folder, texts) -> np.ndarray:
    rows = load_file(folder / "model.safetensors")["embeddings.word_embeddings.weight"]
    found = np.array([rows[Reference(folder).ids(text)].mean(0) for text in texts])
    return found / np.linalg.norm(found, axis=1, keepdims=True)


@pytest.mark.parametrize("name", ["modules.json", "config.json", "tokenizer.json", "1_Pooling/config.json"])
def test_missing_file_is_named(folder, name):
    (folder / name).unlink()
    said = refusal(folder)
    assert str(folder) in said
    assert name in said


def test_weights_that_are_missing_are_named(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    said = refusal(folder)
    assert f"{folder} has no weights; expected model.safetensors, or an ONNX file. Other formats are not read" in said


def test_file_instead_of_a_folder_is_refused(folder):
    assert "is no sentence-transformers folder" in refusal(folder / "model.safetensors")


@pytest.mark.parametrize("kept", [0, 4, 100, 1000, -1])
def test_truncated_weights_are_named(folder, kept):
    path = folder / "model.safetensors"
    data = path.read_bytes()[:kept]
    path.write_bytes(data)
    said = refusal(folder)
    assert f"{path} ({len(data)} bytes) is no complete safetensors file" in said
    assert "copy it there again" in said


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", "{", "config.json is not a readable JSON file"),
        ("config.json", "[]", "config.json holds a JSON list; expected an object"),
        ("config.json", "\xff", "config.json is not a readable JSON file"),
        ("modules.json", "{}", "modules.json has the modules nothing; expected Transformer, Pooling"),
        ("modules.json", '[{"type": 3}]', "modules.json is wrong; expected a list of objects with type and path"),
        ("modules.json", "3", "modules.json is wrong"),
        ("modules.json", '[{"type": "a.CLIPModel", "path": ""}]', "has the modules CLIPModel; expected Transformer"),
        ("tokenizer.json", "{}", "tokenizer.json is no tokenizer"),
        ("1_Pooling/config.json", '{"pooling_mode_mean_tokens": true}', "has no word_embedding_dimension"),
        ("1_Pooling/config.json", json.dumps({**POOLING, "pooling_mode": "sum"}), "asks for the pooling sum; expected"),
        ("1_Pooling/config.json", json.dumps({**POOLING, "pooling_mode_best": True}), "pooling pooling_mode_best"),
        (
            "1_Pooling/config.json",
            json.dumps({**POOLING, "word_embedding_dimension": 33}),
            "makes vectors of 32 dimensions; its configuration says 33",
        ),
    ],
)
def test_wrong_file_is_named(folder, name, content, message):
    (folder / name).write_text(content, encoding="latin-1")
    said = refusal(folder)
    assert message in said
    assert str(folder) in said


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "t5"}, "model_type is 't5'; the cpu engine converts bert, camembert, distilbert, mpnet"),
        ({"model_type": None}, "model_type is None; expected a text"),
        ({"num_attention_heads": 5}, "5 heads do not divide the width 32"),
        ({"num_attention_heads": 0}, "num_attention_heads is 0; expected a whole number from 1"),
        ({"hidden_size": True}, "hidden_size is True; expected a whole number from 1"),
        ({"layer_norm_eps": "small"}, "layer_norm_eps is 'small'; expected a number"),
        ({"hidden_act": "swish"}, "hidden_act is 'swish'; expected one of gelu, gelu_new"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type is 'relative_key'; expected 'absolute'"),
        (
            {"intermediate_size": 63},
            "tensor encoder.layer.0.intermediate.dense.weight has shape [64, 32]; expected [63",
        ),
        ({"num_hidden_layers": 3}, "has no tensor encoder.layer.2.attention.self.query.weight"),
        (
            {"model_type": "distilbert", "dim": 32, "n_heads": 4, "n_layers": 1, "hidden_dim": 64},
            "has no tensor transformer.layer.0.attention.q_lin.weight",
        ),
    ],
)
def test_wrong_configuration_is_named(folder, changes, message):
    change(folder / "config.json", **changes)
    assert message in refusal(folder)


def test_weights_of_another_architecture_are_told(folder):
    save_file({"wte.weight": np.ones((2, 2), np.float32)}, folder / "model.safetensors")
    assert "has no tensor embeddings.word_embeddings.weight, which bert must have" in refusal(folder)


def test_weights_that_are_whole_numbers_are_refused(folder):
    weights = load_file(folder / "model.safetensors")
    name = "embeddings.word_embeddings.weight"
    save_file({**weights, name: weights[name].astype(np.int32)}, folder / "model.safetensors")
    assert f"tensor {name} has type I32; expected one of F64, F32, F16, BF16" in refusal(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"out_features": 0}, "expected the numbers in_features and out_features"),
        ({"in_features": 31}, "tensor linear.weight has shape [7, 32]; expected [7, 31]"),
        ({"activation_function": "torch.nn.SiLU"}, "activation_function is 'SiLU'; expected one of torch's Identity"),
        ({"use_residual": True}, "use_residual is true, which is not supported"),
        ({"module_input_name": "token_embeddings"}, "module_input_name is 'token_embeddings'; expected"),
    ],
)
def test_wrong_dense_layer_is_told(tmp_path, changes, message):
    folder = tiny.make(tmp_path / "tiny", dense=7)
    change(folder / "2_Dense/config.json", **changes)
    said = refusal(folder)
    assert message in said
    assert "2_Dense" in said


def test_dense_layer_without_safetensors_is_told(tmp_path):
    folder = tiny.make(tmp_path / "tiny", dense=7)
    (folder / "2_Dense/model.safetensors").rename(folder / "2_Dense/pytorch_model.bin")
    assert f"{folder}/2_Dense/model.safetensors is missing" in refusal(folder)


def test_unknown_module_is_told(folder):
    modules = json.loads((folder / "modules.json").read_text())
    tiny.write_json(folder / "modules.json", [*modules, {"type": "x.models.Dropout", "path": "3_Dropout"}])
    assert "has the module Dropout; expected Dense and Normalize only" in refusal(folder)


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["Identity", "ReLU", "Sigmoid"])
async def test_other_activations_of_the_dense_layer(serve, tmp_path, kind):
    folder = tiny.make(tmp_path / "tiny", dense=7, normalize=False)
    weights = load_file(folder / "2_Dense/model.safetensors")
    pooled = np.arctanh([Reference(folder).embed(text) for text in TEXTS]) - weights["linear.bias"]
    change(folder / "2_Dense/config.json", activation_function=f"torch.nn.modules.linear.{kind}", bias=False)
    wanted = {"Identity": pooled, "ReLU": np.maximum(pooled, 0), "Sigmoid": 1 / (1 + np.exp(-pooled))}[kind]
    found = await embed(await serve(folder, precision="float32"), TEXTS)
    np.testing.assert_allclose(found, wanted, atol=1e-4)


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["F16", "BF16"])
async def test_half_precision_weights_are_read(serve, tmp_path, kind):
    import ml_dtypes

    folder = tiny.make(tmp_path / "tiny")
    half = {"F16": np.float16, "BF16": ml_dtypes.bfloat16}[kind]
    weights = load_file(folder / "model.safetensors")
    rounded = {name: value.astype(half) for name, value in weights.items()}
    save_file({name: value.astype(np.float32) for name, value in rounded.items()}, folder / "model.safetensors")
    wanted = [Reference(folder).embed(text) for text in TEXTS]
    save_file(rounded, folder / "model.safetensors")
    assert f'"dtype":"{kind}"' in (folder / "model.safetensors").read_bytes()[:10_000].decode("latin-1")
    found = await embed(await serve(folder, precision="float32"), TEXTS)
    np.testing.assert_allclose(found, wanted, atol=2e-5)


@pytest.mark.anyio
async def test_weights_may_lie_in_several_files_and_have_a_prefix(serve, folder):
    wanted = [Reference(folder).embed(text) for text in TEXTS]
    weights = {f"bert.{name}": value for name, value in load_file(folder / "model.safetensors").items()}
    (folder / "model.safetensors").unlink()
    names, places = sorted(weights), {}
    for part in range(2):
        chosen = names[part::2]
        save_file({name: weights[name] for name in chosen}, folder / f"model-{part}.safetensors")
        places |= dict.fromkeys(chosen, f"model-{part}.safetensors")
    tiny.write_json(folder / "model.safetensors.index.json", {"weight_map": places})
    found = await embed(await serve(folder, precision="float32"), TEXTS)
    np.testing.assert_allclose(found, wanted, atol=2e-5)
    (folder / "model-1.safetensors").unlink()
    assert f"{folder}/model-1.safetensors is missing" in refusal(folder)
    tiny.write_json(folder / "model.safetensors.index.json", {})
    assert "model.safetensors.index.json has no weight_map" in refusal(folder)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("place", "precision"),
    [("onnx/model.onnx", None), ("model.onnx", "float32"), ("onnx/model_quantized.onnx", "int8")],
)
@pytest.mark.parametrize(("types", "output"), [(True, "last_hidden_state"), (False, "token_embeddings")])
async def test_onnx_file_as_exporters_make_it(serve, folder, place, precision, types, output):
    change(folder / "config.json", model_type="new")
    exported(folder, place, types=types, output=output)
    wanted = rows_mean(folder, TEXTS)
    np.testing.assert_allclose(await embed(await serve(folder, precision=precision), TEXTS), wanted, atol=1e-6)


@pytest.mark.anyio
async def test_onnx_file_needs_no_safetensors(serve, folder):
    exported(folder)
    wanted = rows_mean(folder, TEXTS)
    (folder / "model.safetensors").unlink()
    np.testing.assert_allclose(await embed(await serve(folder), TEXTS), wanted, atol=1e-6)
    said = refusal(folder, precision="int8")
    assert "has model.onnx only, which is not int8; choose another --precision" in said


@pytest.mark.anyio
@pytest.mark.parametrize("precision", [None, "int8", "float32"])
async def test_what_can_be_converted_is_rather_than_run_as_an_exporter_made_it(serve, folder, precision):
    exported(folder)
    exported(folder, "onnx/model_quantized.onnx")
    found = await embed(await serve(folder, precision=precision), TEXTS)
    wanted = np.array([Reference(folder).embed(text) for text in TEXTS])
    assert (found * wanted).sum(1).min() > 0.99


@pytest.mark.parametrize("path", ["/etc", "../other", "1_Pooling/../..", "a\\b"])
def test_modules_outside_the_folder_are_refused(folder, path):
    modules = json.loads((folder / "modules.json").read_text())
    tiny.write_json(folder / "modules.json", [{**modules[0], "path": path}, *modules[1:]])
    said = refusal(folder)
    assert f"{folder}/modules.json names the path {path!r}; expected one below {folder}, without '..'" in said
    tiny.write_json(folder / "modules.json", [modules[0], {**modules[1], "path": path}, *modules[2:]])
    assert f"names the path {path!r}" in refusal(folder)


@pytest.mark.anyio
async def test_modules_may_be_written_in_other_ways(serve, folder):
    modules = (folder / "modules.json").read_text()
    wanted = await embed(await serve(folder), TEXTS)
    modules = modules.replace('"path": ""', '"path": "."').replace('"1_Pooling"', '"./1_Pooling/"')
    (folder / "modules.json").write_text(modules)
    np.testing.assert_array_equal(await embed(await serve(folder), TEXTS), wanted)


@pytest.mark.parametrize("path", ["/etc/passwd", "../tiny/model.safetensors"])
def test_weights_outside_the_folder_are_refused(folder, path):
    (folder / "model.safetensors").unlink()
    tiny.write_json(folder / "model.safetensors.index.json", {"weight_map": {"embeddings": path}})
    said = refusal(folder)
    assert f"{folder}/model.safetensors.index.json names the path {path!r}; expected one below {folder}" in said


def without_safetensors(folder, place="") -> Folder:
    (folder / place / "model.safetensors").rename(folder / place / "pytorch_model.bin")
    return Folder(locate(str(folder)))


def test_folder_may_be_required_to_hold_safetensors_only(tmp_path):
    folder = tiny.make(tmp_path / "tiny", dense=7)
    Folder(locate(str(folder))).require_safetensors()
    with pytest.raises(ModelError, match=r"2_Dense/model\.safetensors is missing; other formats are not read"):
        without_safetensors(folder, "2_Dense").require_safetensors()
    with pytest.raises(
        ModelError, match=r"has no safetensors; expected model\.safetensors. Other formats are not read"
    ):
        without_safetensors(folder).require_safetensors()


def test_no_module_may_have_a_pickle_alone(folder):
    (folder / "2_Normalize/pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(ModelError, match=r"2_Normalize/model\.safetensors is missing"):
        Folder(locate(str(folder))).require_safetensors()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"input_ids": "ids"},
            "has inputs ids, attention_mask, token_type_ids and outputs last_hidden_state; expected",
        ),
        ({"token_type_ids": "pixel_values"}, "expected integers input_ids, attention_mask and perhaps token_type_ids"),
        ({"output": "logits"}, "and an output last_hidden_state"),
        ({"mask": False}, "has inputs input_ids, token_type_ids and outputs last_hidden_state; expected integers"),
    ],
)
def test_onnx_file_of_another_kind_is_refused(folder, changes, message):
    change(folder / "config.json", model_type="new")
    exported(folder, **changes)
    assert message in refusal(folder, precision="float32")


@pytest.mark.parametrize("content", [b"", b"no model", None])
def test_onnx_file_that_cannot_be_run_is_named(folder, content):
    change(folder / "config.json", model_type="new")
    exported(folder)
    path = folder / "onnx/model.onnx"
    path.write_bytes(path.read_bytes()[:-100] if content is None else content)
    assert f"{path} cannot be run by ONNX Runtime" in refusal(folder, precision="float32")


def test_model_that_fails_on_its_first_text_is_refused(folder):
    exported(folder)
    path = folder / "onnx/model.onnx"
    model = onnx.load(path)
    # No token but the first is there; padding is token 1 here.
    rows = model.graph.initializer[0]
    rows.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(rows)[:1], "rows"))
    onnx.save(model, path)
    change(folder / "config.json", model_type="new", pad_token_id=1)
    assert f"{folder} does not work" in refusal(folder, precision="float32")


def test_limits_of_the_tokenizer_hold_where_the_folder_has_no_others(folder):
    (folder / "sentence_bert_config.json").unlink()
    assert EmbeddingModel(locate(str(folder)), Settings()).describe().context_length == tiny.POSITIONS
    change(folder / "tokenizer_config.json", model_max_length=12)
    assert EmbeddingModel(locate(str(folder)), Settings()).describe().context_length == 12
    change(folder / "tokenizer_config.json", model_max_length=10**30)
    assert EmbeddingModel(locate(str(folder)), Settings()).describe().context_length == tiny.POSITIONS


def test_context_of_an_architecture_that_is_not_known(folder):
    exported(folder)
    change(folder / "config.json", model_type="new", max_position_embeddings=None)
    (folder / "sentence_bert_config.json").unlink()
    assert EmbeddingModel(locate(str(folder)), Settings()).describe().context_length == 512


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "is truncated: expected"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1] + b"x"), "was changed: expected sha256"),
        (lambda path: path.unlink(), "cannot be read: No such file or directory"),
        (lambda path: (path.parent / "more.py").write_text("evil"), "more.py is not in the manifest"),
    ],
)
def test_folder_that_is_not_as_its_manifest_says_is_refused(folder, damage, message):
    described = manifest.describe(folder, "m", "Apache-2.0")
    (folder / manifest.NAME).write_text(described.to_json())
    load(folder)
    damage(folder / "tokenizer.json")
    said = refusal(folder)
    assert message in said
    assert "tokenizer.json" in said or "more.py" in said


@pytest.mark.anyio
async def test_folder_may_go_while_it_is_served(serve_any, folder):
    client = await serve_any(folder)
    wanted = await embed(client, TEXTS)
    shutil.rmtree(folder)
    np.testing.assert_allclose(await embed(client, TEXTS), wanted, atol=1e-6)
