# SPDX-License-Identifier: Apache-2.0
"""Models on the machine: which are chosen, by which name, and what keeps a backend from starting."""

import argparse

import pytest

from cowabungaai_sdk import manifest, models
from cowabungaai_sdk.models import ModelError
from cowabungaai_sdk.serve import run
from cowabungaai_sdk.v1.models_pb2 import CAPABILITY_CHAT
from sample_backends import Words


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    for name in ("MODEL", "MODELS_DIR", "REQUIRE_MANIFEST"):
        monkeypatch.delenv(f"COWABUNGAAI_{name}", raising=False)


@pytest.fixture
def make(tmp_path):
    """Makes a model's folder."""

    def made(name, model_id=None, files=("weights.gguf",)):
        folder = tmp_path / name
        folder.mkdir()
        for file in files:
            (folder / file).write_bytes(file.encode())
        if model_id:
            described = manifest.describe(folder, model_id, "MIT", owned_by="us", created=7)
            (folder / manifest.NAME).write_text(described.to_json())
        return folder

    return made


def parsed(*arguments):
    """The models that arguments choose."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    models.add_arguments(parser)
    return models.chosen(parser.parse_args(list(map(str, arguments))))


def test_a_models_name_is_the_one_given_else_its_manifests_else_its_paths(make, tmp_path):
    with_manifest, without = make("a", "named"), make("b.v2")
    found = parsed(f"--model=mine={with_manifest}", f"--model={with_manifest}", f"--model={without}")
    assert [model.id for model in found] == ["mine", "named", "b.v2"]
    assert models.locate(str(without / "weights.gguf")).id == "weights"


def test_an_equals_sign_in_a_path_is_no_name(make):
    folder = make("a=b", "named")
    assert models.locate(str(folder)).path == folder
    assert models.locate(f"x={folder}").id == "x"


def test_models_are_also_chosen_by_the_environment_and_by_their_folder(make, tmp_path, monkeypatch):
    second, first = make("2", "two"), make("1", "one")
    make("without")
    assert [model.id for model in parsed("--models-dir", tmp_path)] == ["one", "two"]
    monkeypatch.setenv("COWABUNGAAI_MODEL", f"{second}, x={first}")
    assert [model.id for model in parsed("--models-dir", tmp_path)] == ["two", "x"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model=/no/such"], "no model at /no/such"),
        (["--models-dir=/no/such"], "no model: give --model PATH, or put folders with a manifest.json into /no/such"),
        (["--model={0}", "--model={0}"], "are both named 'one'"),
        (["--model={1}", "--require-manifest=true"], "has no manifest.json, and one is required"),
        (["--model=a b={1}"], "'a b' is no name for a model"),
    ],
)
def test_what_cannot_be_chosen_is_refused(make, arguments, message):
    folders = make("1", "one"), make("bare")
    with pytest.raises(ModelError) as refused:
        parsed(*(argument.format(*folders) for argument in arguments))
    assert message in str(refused.value)


def test_a_setting_that_is_neither_true_nor_false_is_refused():
    with pytest.raises(argparse.ArgumentError, match="got 'perhaps'; expected true or false"):
        parsed("--require-manifest=perhaps")


def test_the_one_file_of_a_model_is_found(make):
    folder = make("a", "one", files=("weights.gguf", "notes.txt"))
    model = models.locate(str(folder))
    assert model.file("*.gguf") == folder / "weights.gguf"
    assert models.locate(str(folder / "weights.gguf")).file("*.bin") == folder / "weights.gguf"


def test_a_file_that_the_manifest_does_not_list_is_not_opened(make):
    folder = make("a", "one")
    (folder / "injected.gguf").touch()
    assert models.locate(str(folder)).file("*.gguf") == folder / "weights.gguf"


@pytest.mark.parametrize("files", [("a.gguf", "b.gguf"), ("c.bin",)])
def test_none_or_several_files_are_refused_by_name(make, files):
    model = models.locate(str(make("a", files=files)))
    with pytest.raises(ModelError, match=r"must hold one file \*\.gguf and holds " + ", ".join(files)):
        model.file("*.gguf")


def test_a_model_is_verified_against_its_manifest(make):
    folder = make("a", "one")
    models.locate(str(folder)).verify()
    (folder / "weights.gguf").write_bytes(b"")
    with pytest.raises(ModelError, match=r"weights\.gguf is truncated"):
        models.locate(str(folder)).verify()
    models.locate(str(make("bare"))).verify()


def test_the_digest_differs_with_the_weights(make):
    same = [models.locate(str(make(name, model_id))).digest for name, model_id in (("a", "one"), ("b", "two"))]
    assert same[0] == same[1]
    bare = make("bare")
    before = models.locate(str(bare)).digest
    (bare / "weights.gguf").write_bytes(b"longer than before")
    assert models.locate(str(bare)).digest != before
    assert models.locate(str(bare / "weights.gguf")).digest


def test_a_model_is_described_as_the_contract_lists_it(make):
    described = models.locate(str(make("a", "one"))).describe([CAPABILITY_CHAT], context_length=8)
    assert (described.id, described.owned_by, described.created) == ("one", "us", 7)
    assert described.context_length == 8
    assert not described.HasField("dimensions")


def test_a_model_that_cannot_be_found_ends_the_start_with_a_message(capsys):
    def make_backend(arguments):
        models.chosen(arguments)
        raise AssertionError("a model was found")

    arguments = ["--model=/no/such", "--port=0"]
    assert run(make_backend, arguments, prog="sample", add_own=models.add_arguments) == 1
    captured = capsys.readouterr()
    assert captured.err.endswith("error: no model at /no/such; expected a file or folder, as PATH or NAME=PATH\n")
    assert "Traceback" not in captured.err


def test_a_model_that_is_wrong_when_it_loads_ends_the_start_with_a_message(make, capsys):
    folder = make("a", "one")

    class Verifying(Words):
        def __init__(self, model):
            super().__init__()
            self._model = model

        async def load(self):
            self._model.verify()

    (folder / "weights.gguf").write_bytes(b"")
    arguments = [f"--model={folder}", "--port=0"]
    status = run(lambda found: Verifying(models.chosen(found)[0]), arguments, add_own=models.add_arguments)
    assert status == 1
    error = capsys.readouterr().err
    assert "weights.gguf is truncated" in error
    assert "Traceback" not in error
