# SPDX-License-Identifier: Apache-2.0
"""The real engine on a real GPU, with a real model."""

import importlib.util
import json
import os

import pytest

from conversations import CLOCK, WEATHER, choice, said, text_of
from cowabungaai_sdk.client import BackendClient
from cowabungaai_sdk.models import locate
from cowabungaai_sdk.server import BackendServer, ServerConfig
from cowabungaai_sdk.v1.chat_pb2 import ResponseFormat, ToolChoice
from cowabungaai_vllm.backend import VllmBackend
from cowabungaai_vllm.config import Config

MODEL = "COWABUNGAAI_TEST_GPU_MODEL"


def _missing():
    if importlib.util.find_spec("vllm") is None:
        return "vLLM is not installed; install requirements-gpu.lock"
    if not os.environ.get(MODEL):
        return f"{MODEL} is not set; expected the folder of a model with a chat template"
    import torch

    return None if torch.cuda.is_available() else "this machine has no GPU"


pytestmark = [pytest.mark.anyio, pytest.mark.gpu]


@pytest.fixture(scope="module")
async def client():
    """A client of the real backend."""
    if reason := _missing():
        pytest.skip(reason)
    backend = VllmBackend(locate(f"small={os.environ[MODEL]}"), Config(engine={"max_model_len": 2048}))
    server = BackendServer(backend, ServerConfig("127.0.0.1", 0, drain_s=0))
    port = await server.start()
    await server.load()
    async with BackendClient(f"127.0.0.1:{port}") as found:
        yield found
    await server.stop()


async def test_it_answers_the_same_to_the_same_seed(client):
    request = said("Tell me a story.", seed=7, max_tokens=24, temperature=1)
    assert text_of(await client.chat(request)) == text_of(await client.chat(request)) != ""


async def test_it_stops_where_told(client):
    response = await client.chat(said("Count from 1 to 9.", stop=["4"], max_tokens=64, temperature=0))
    assert "4" not in text_of(response)


async def test_it_obeys_a_schema(client):
    schema = '{"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}'
    form = ResponseFormat(json_schema=ResponseFormat.JsonSchema(name="n", schema=schema))
    response = await client.chat(said("Give a number.", response_format=form, max_tokens=32))
    assert isinstance(json.loads(text_of(response))["n"], int)


async def test_it_calls_a_tool(client):
    required = choice(ToolChoice.MODE_REQUIRED)
    response = await client.chat(said("Weather in Oslo?", tools=[WEATHER, CLOCK], tool_choice=required, max_tokens=64))
    assert {call.name for call in response.choices[0].message.tool_calls} <= {"weather", "clock"}


async def test_its_log_probabilities_are_natural_logarithms(client):
    response = await client.chat(said("Hi", logprobs=True, top_logprobs=2, max_tokens=4))
    assert all(one.logprob <= 0 and len(one.top) == 2 for one in response.choices[0].logprobs.content)
