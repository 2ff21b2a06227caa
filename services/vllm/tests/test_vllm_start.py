# SPDX-License-Identifier: Apache-2.0
"""How the backend starts, and what keeps it from starting."""

import os
import subprocess
import sys

import pytest

import double
from cowabungaai_sdk.manifest import ModelError
from cowabungaai_sdk.models import locate
from cowabungaai_vllm.backend import VllmBackend
from cowabungaai_vllm.config import Config, engine_arguments, load


@pytest.fixture
def write(tmp_path):
    """Writes a configuration file."""

    def written(text):
        file = tmp_path / "vllm.yaml"
        file.write_text(text)
        return file

    return written


def test_any_argument_of_the_engine_is_reachable(write, folder, adapter):
    file = write(
        "engine: {tensor_parallel_size: 2, pipeline_parallel_size: 2, distributed_executor_backend: ray,\n"
        "  quantization: awq, enable_prefix_caching: false, speculative_config: {method: ngram}}\n"
        f"adapters: [{{id: tuned, path: {adapter}}}]\nmax_concurrency: 8\n"
    )
    config = load(file)
    known = double.library().engine_argument_names
    made = engine_arguments(config, folder, "small", known)
    assert made["tensor_parallel_size"] == 2
    assert made["speculative_config"] == {"method": "ngram"}
    assert (made["model"], made["served_model_name"], made["enable_lora"]) == (str(folder), "small", True)
    assert double.library().AsyncEngineArgs(**made).quantization == "awq"
    assert config.max_concurrency == 8


def test_no_file_and_an_empty_file_are_no_configuration(write):
    assert load(None) == load(write("")) == Config()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("engin: {}", "engin: Extra inputs are not permitted"),
        ("max_concurrency: 0", "max_concurrency: Input should be greater than 0"),
        ("engine: {model: x}", "engine.model: given by --model instead"),
        ("chat_template: /no/such", "chat_template: there is no file /no/such"),
        ("adapters: [{id: a, path: /no/such}]", "has no adapter_config.json"),
        ("adapters: [{id: a b, path: /x}]", "adapters.0.id: String should match pattern"),
        ("[", "is not valid YAML"),
        ("engine: {seed: 2026-02-30}", "is not valid YAML: day is out of range"),
        ("engine: {}\nengine: {seed: 1}", "is not valid YAML: engine is given twice"),
        ("x: " + "y" * 1_100_000, "is too long for a configuration"),
    ],
)
def test_a_wrong_configuration_is_refused_with_its_place(write, text, message):
    file = write(text)
    with pytest.raises(ModelError) as refused:
        load(file)
    assert str(file) in str(refused.value)
    assert message in str(refused.value)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ModelError, match="cannot be read"):
        load(tmp_path / "none.yaml")


def test_an_adapter_twice_is_refused(write, adapter):
    with pytest.raises(ModelError, match="'a' is there twice"):
        load(write(f"adapters: [{{id: a, path: {adapter}}}, {{id: a, path: {adapter}}}]"))


def test_an_argument_that_vllm_does_not_have_is_refused_with_similar_ones(folder):
    known = double.library().engine_argument_names
    with pytest.raises(ModelError, match=r"engine\.tensor_parallel: .*similar ones: tensor_parallel_size"):
        engine_arguments(Config(engine={"tensor_parallel": 2}), folder, "small", known)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), {}, "has no config.json"),
        (lambda folder: (folder / "model.safetensors").unlink(), {}, "has no weights"),
        (lambda folder: None, {"tool_call_parser": "nope"}, "tool_call_parser: vLLM has no 'nope'; it has: marks"),
        (lambda folder: None, {"reasoning_parser": "nope"}, "reasoning_parser: vLLM has no 'nope'; it has: thoughts"),
    ],
)
async def test_what_cannot_be_served_ends_the_start(folder, change, settings, message):
    change(folder)
    backend = VllmBackend(locate(str(folder)), Config(**settings), double.library)
    with pytest.raises(ModelError) as refused:
        await backend.load()
    assert message in str(refused.value)
    await backend.close()


@pytest.mark.anyio
async def test_what_vllm_cannot_serve_is_told(folder):
    broken = folder.rename(folder.with_name("broken"))
    backend = VllmBackend(locate(str(broken)), Config(), double.library)
    with pytest.raises(ModelError, match=r"vLLM cannot serve .*: no such architecture"):
        await backend.load()
    await backend.close()


@pytest.mark.anyio
async def test_a_file_that_is_no_model_is_refused(tmp_path):
    (tmp_path / "notes.txt").touch()
    backend = VllmBackend(locate(str(tmp_path / "notes.txt")), Config(), double.library)
    with pytest.raises(ModelError, match="is no folder; expected a Hugging Face model's folder"):
        await backend.load()


def run(*arguments):
    """Runs the backend as a program."""
    return subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-m", "cowabungaai_vllm", *map(str, arguments)],
        env={**os.environ, "COWABUNGAAI_HOST": "127.0.0.1", "COWABUNGAAI_PORT": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_as_a_program_it_tells_what_is_wrong_without_a_traceback(folder, write):
    for arguments, message in (
        (["--model", "/no/such"], "error: no model at /no/such"),
        (["--model", folder, "--model", f"other={folder}"], "error: an engine serves one model"),
        (["--model", folder, "--config", write("x: 1")], "x: Extra inputs are not permitted"),
    ):
        finished = run(*arguments)
        assert finished.returncode == 1
        assert message in finished.stderr
        assert "Traceback" not in finished.stderr


def test_nothing_is_loaded_from_a_hub():
    code = "import os, cowabungaai_vllm; print(os.environ['HF_HUB_OFFLINE'], os.environ['VLLM_NO_USAGE_STATS'])"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert finished.stdout.split() == ["1", "1"]
