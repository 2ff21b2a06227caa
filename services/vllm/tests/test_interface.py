# SPDX-License-Identifier: Apache-2.0
"""What the service uses of vLLM is in the pinned wheel, by that name and with that meaning; so is all of the double."""

import ast
import inspect
import tomllib
from pathlib import Path

import pytest
from google.protobuf.descriptor import FieldDescriptor

import double
from cowabungaai_sdk.v1.chat_pb2 import ChatRequest, ResponseFormat
from cowabungaai_sdk.v1.common_pb2 import Sampling
from cowabungaai_sdk.v1.completion_pb2 import CompletionRequest
from cowabungaai_vllm.config import OURS
from cowabungaai_vllm.generation import REASONS
from cowabungaai_vllm.library import NAMES
from cowabungaai_vllm.sampling import chat_fields, completion_fields, format_fields, sampling_fields
from wheel import attributes_set, definition, fields, method, parameters, tree, wheel

SAMPLING = (NAMES["SamplingParams"], "SamplingParams")
ENGINE = (NAMES["AsyncLLM"], "AsyncLLM")
OPENAI_DEFAULTS = {
    "n": 1,
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": 0,
    "min_p": 0.0,
    "frequency_penalty": 0.0,
    "presence_penalty": 0.0,
    "repetition_penalty": 1.0,
    "seed": None,
    "stop": None,
    "min_tokens": 0,
    "logit_bias": None,
}


def example(field):
    """A value that is not the field's default."""
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return {7: 1.5}
    if field.is_repeated:
        return ["end"]
    return 0.5 if field.cpp_type == FieldDescriptor.CPPTYPE_FLOAT else 5


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_name_is_where_it_is_imported_from(name):
    definition(NAMES[name], name)


@pytest.mark.parametrize("field", list(Sampling.DESCRIPTOR.fields), ids=lambda field: field.name)
def test_every_sampling_parameter_of_the_contract_reaches_the_engine(field):
    value = example(field)
    made = sampling_fields(Sampling(**{field.name: value}))
    assert made[field.name] == value
    assert field.name in fields(*SAMPLING)


@pytest.mark.parametrize(("name", "value"), sorted(OPENAI_DEFAULTS.items()))
def test_what_is_unset_is_openais_default(name, value):
    assert name not in sampling_fields(Sampling())
    assert fields(*SAMPLING)[name] == value


def test_an_unset_limit_is_the_context():
    assert sampling_fields(Sampling()) == {"max_tokens": None}
    assert fields(*SAMPLING)["max_tokens"] == 16


def test_the_requests_own_parameters_reach_the_engine():
    chat = ChatRequest(n=2, logprobs=True, top_logprobs=3)
    completion = CompletionRequest(n=2, best_of=4, logprobs=1, echo=True)
    assert chat_fields(chat) == {"max_tokens": None, "n": 2, "logprobs": 3}
    assert completion_fields(completion) == {"max_tokens": None, "n": 4, "logprobs": 1, "prompt_logprobs": 1}
    assert completion_fields(CompletionRequest(best_of=2)) == {"max_tokens": None, "n": 2, "logprobs": 0}
    used = chat_fields(chat).keys() | completion_fields(completion).keys()
    assert used | {"structured_outputs", "output_kind", "skip_special_tokens"} <= fields(*SAMPLING).keys()


def test_formats_are_structured_outputs():
    schema = ResponseFormat(json_schema=ResponseFormat.JsonSchema(name="x", schema='{"type": "object"}'))
    made = [format_fields(schema), format_fields(ResponseFormat(json_object=ResponseFormat.JsonObject()))]
    assert made == [{"json": '{"type": "object"}'}, {"json_object": True}]
    assert format_fields(ResponseFormat()) is None
    known = fields(NAMES["StructuredOutputsParams"], "StructuredOutputsParams")
    assert all(one.keys() <= known.keys() for one in made)


def test_a_limit_of_top_p_that_vllm_refuses_is_the_likeliest_token():
    assert 0 < sampling_fields(Sampling(top_p=0))["top_p"] < 1e-6


@pytest.mark.parametrize("name", ["from_engine_args", "generate", "get_tokenizer", "shutdown"])
def test_the_double_has_the_engines_signatures(name):
    real = {one.name: one for one in parameters(method(*ENGINE, name))}
    ours = [one for one in inspect.signature(getattr(double.Engine, name)).parameters.values() if one.name != "self"]
    for position, one in enumerate(ours):
        assert one.name in real
        assert real[one.name].keyword_only == (one.kind is inspect.Parameter.KEYWORD_ONLY)
        if one.kind is not inspect.Parameter.KEYWORD_ONLY:
            assert list(real)[position] == one.name
    left_out = real.keys() - {one.name for one in ours}
    assert all(real[one].has_default for one in left_out)


def test_generate_is_an_asynchronous_generator_that_aborts_what_is_left():
    found = method(*ENGINE, "generate")
    assert isinstance(found, ast.AsyncFunctionDef)
    assert any(isinstance(node, ast.Yield) for node in ast.walk(found))
    handled = {name.id for node in ast.walk(found) if isinstance(node, ast.ExceptHandler) for name in _names(node.type)}
    assert "GeneratorExit" in handled


def _names(node):
    return [one for one in ast.walk(node) if isinstance(one, ast.Name)] if node is not None else []


def test_the_engine_says_whether_it_has_died():
    assert any(isinstance(one, ast.Name) and one.id == "property" for one in method(*ENGINE, "errored").decorator_list)
    assert "model_config" in attributes_set(*ENGINE)


def test_what_is_read_of_outputs_is_there():
    read = {"index", "text", "token_ids", "cumulative_logprob", "logprobs", "finish_reason"}
    assert read <= fields("vllm.outputs", "CompletionOutput").keys()
    assert {"outputs", "num_cached_tokens", "prompt_logprobs"} <= attributes_set("vllm.outputs", "RequestOutput")
    assert {"logprob", "decoded_token"} <= fields("vllm.logprobs", "Logprob").keys()


def test_every_reason_to_finish_is_known():
    names = next(
        node
        for node in tree("vllm.v1.engine").body
        if isinstance(node, ast.Assign) and node.targets[0].id == "FINISH_REASON_STRINGS"
    )
    known = set(ast.literal_eval(names.value))
    assert REASONS.keys() <= known
    # The answer was given up; it is told as a failure.
    assert known - REASONS.keys() == {"abort", "error"}


def test_adapters_prompts_and_arguments_are_made_as_vllm_expects():
    assert list(fields(NAMES["LoRARequest"], "LoRARequest"))[:3] == ["lora_name", "lora_int_id", "lora_path"]
    made = parameters(definition(NAMES["tokens_input"], "tokens_input"))
    assert (made[0].name, made[0].keyword_only) == ("prompt_token_ids", False)
    assert any(one.name == "cache_salt" and one.keyword_only for one in made)
    known = fields(NAMES["AsyncEngineArgs"], "EngineArgs")
    assert {*OURS, "max_loras", "tensor_parallel_size", "pipeline_parallel_size", "quantization"} <= known.keys()
    assert {"enable_prefix_caching", "distributed_executor_backend"} <= known.keys()


@pytest.mark.parametrize(
    ("module", "name", "ours"),
    [
        (NAMES["ToolParserManager"], "ToolParser", double.ToolParser),
        (NAMES["ReasoningParserManager"], "ReasoningParser", double.ReasoningParser),
    ],
)
def test_the_doubles_parsers_have_vllms_signatures(module, name, ours):
    for method_name, function in inspect.getmembers(ours, inspect.isfunction):
        given = [one for one in inspect.signature(function).parameters if one != "self"]
        assert [one.name for one in parameters(method(module, name, method_name))][: len(given)] == given


def test_what_is_read_of_parsed_pieces_is_there():
    module = "vllm.entrypoints.generate.base.protocol"
    assert {"content", "reasoning", "tool_calls"} <= fields(module, "DeltaMessage").keys()
    assert {"index", "id", "function"} <= fields(module, "DeltaToolCall").keys()
    assert {"name", "arguments"} <= fields(module, "DeltaFunctionCall").keys()
    asked = {"model", "messages", "tools", "tool_choice", "skip_special_tokens"}
    assert asked <= fields(NAMES["ChatCompletionRequest"], "ChatCompletionRequest").keys()
    for manager, name in (("ToolParserManager", "get_tool_parser"), ("ReasoningParserManager", "get_reasoning_parser")):
        assert [one.name for one in parameters(method(NAMES[manager], manager, name))] == ["name"]
        assert parameters(method(NAMES[manager], manager, "list_registered")) == []


def test_what_is_used_of_tokenizers_is_there():
    module = "vllm.tokenizers.protocol"
    for name in ("encode", "decode"):
        ours = list(inspect.signature(getattr(double.Tokenizer, name)).parameters)[1:]
        assert [one.name for one in parameters(method(module, "TokenizerLike", name))] == ours
    assert method(module, "TokenizerLike", "max_chars_per_token") is not None


def test_the_wheel_is_the_one_that_is_pinned():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    wanted = project["optional-dependencies"]["gpu"]
    (version,) = [one.removeprefix("vllm==") for one in wanted if one.startswith("vllm==")]
    assert wheel().name.startswith(f"vllm-{version}-")
