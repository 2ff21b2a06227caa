# SPDX-License-Identifier: Apache-2.0
"""Vectors of a real engine with a tiny model, written by the tests themselves."""

from collections.abc import AsyncIterator

import pytest

from cowabungaai_llama_cpp.backend import LlamaBackend
from cowabungaai_llama_cpp.config import LlamaConfig
from cowabungaai_sdk import vectors
from cowabungaai_sdk.client import BackendClient
from cowabungaai_sdk.errors import InvalidRequestError
from cowabungaai_sdk.models import locate
from cowabungaai_sdk.server import BackendServer, ServerConfig
from cowabungaai_sdk.v1 import models_pb2
from cowabungaai_sdk.v1.common_pb2 import TextInput, TokenIds
from cowabungaai_sdk.v1.embedding_pb2 import EmbeddingRequest
from cowabungaai_sdk.v1.tokens_pb2 import CountTokensRequest
from support import prompted, said
from tiny import LENGTH, SIZE, write_embedder

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def tiny(tmp_path_factory, anyio_backend, one_event_loop) -> AsyncIterator[BackendClient]:
    """A client of the tiny model."""
    path = write_embedder(tmp_path_factory.mktemp("tiny") / "tiny.gguf")
    server = BackendServer(LlamaBackend([locate(str(path))], LlamaConfig(batch_size=128)), ServerConfig("127.0.0.1", 0))
    port = await server.start()
    await server.load()
    async with BackendClient(f"127.0.0.1:{port}", timeout_s=30) as client:
        yield client
    await server.stop()


def asked(*inputs: str | list[int], **parameters: object) -> EmbeddingRequest:
    found = [
        TextInput(text=given) if isinstance(given, str) else TextInput(tokens=TokenIds(ids=given)) for given in inputs
    ]
    return EmbeddingRequest(**{"model": "tiny", "inputs": found, **parameters})


async def embedded(client, *inputs, **parameters):
    return [vectors.unpack(data) for data in (await client.embed(asked(*inputs, **parameters))).vectors]


def dot(first, second):
    return sum(one * other for one, other in zip(first, second, strict=True))


async def test_it_embeds_and_does_nothing_else(tiny):
    (model,) = await tiny.models()
    assert list(model.capabilities) == [models_pb2.CAPABILITY_EMBEDDING, models_pb2.CAPABILITY_TOKEN_COUNT]
    assert (model.context_length, model.dimensions) == (LENGTH, SIZE)
    for request in (said("x", model="tiny"), prompted("x", model="tiny")):
        with pytest.raises(InvalidRequestError, match="cannot do"):
            await (tiny.chat(request) if hasattr(request, "messages") else tiny.complete(request))


async def test_vectors_are_units_and_do_not_depend_on_their_neighbours(tiny):
    texts = ["a cat sat on the mat", "a dog ran", "the cat", "the dog sat", "mat", "a cat sat on the mat"] * 3
    found = await embedded(tiny, *texts)
    assert all(dot(vector, vector) == pytest.approx(1, abs=1e-5) for vector in found)
    for text, vector in zip(texts, found, strict=True):
        ((alone),) = await embedded(tiny, text)
        assert dot(alone, vector) == pytest.approx(1, abs=1e-5)
    assert dot(found[0], found[1]) < 0.999


async def test_tokens_are_texts(tiny):
    text, tokens = await embedded(tiny, "a cat", [2, 5, 6, 3])
    assert dot(text, tokens) == pytest.approx(1, abs=1e-5)


async def test_dimensions_are_the_beginning_made_unit(tiny):
    ((whole),) = await embedded(tiny, "a cat")
    ((short),) = await embedded(tiny, "a cat", dimensions=4)
    assert len(short) == 4
    assert short[0] / short[1] == pytest.approx(whole[0] / whole[1], rel=1e-4)
    assert dot(short, short) == pytest.approx(1, abs=1e-5)


async def test_usage_counts_the_ends_too(tiny):
    assert (await tiny.embed(asked("a cat", "the mat sat"))).usage.prompt_tokens == 4 + 5
    assert (await tiny.count_tokens(CountTokensRequest(model="tiny", text="a cat"))).count == 2


@pytest.mark.parametrize("text", ["cat " * 40, "cat " * 1_000_000])
async def test_long_texts_are_refused_or_cut(tiny, text):
    with pytest.raises(InvalidRequestError, match="exceed the context of 16") as raised:
        await tiny.embed(asked("a", text))
    assert (raised.value.param, raised.value.code_name) == ("inputs[1]", "context_length_exceeded")
    response = await tiny.embed(asked(text, truncate=True))
    assert response.usage.prompt_tokens == LENGTH


@pytest.mark.parametrize(
    ("request_of", "param"),
    [
        (lambda: asked("a", dimensions=SIZE + 1), "dimensions"),
        (lambda: asked([99]), "inputs[0]"),
        (lambda: asked(*["a"] * 2049), "inputs"),
    ],
)
async def test_what_it_cannot_do_is_refused(tiny, request_of, param):
    with pytest.raises(InvalidRequestError) as raised:
        await tiny.embed(request_of())
    assert raised.value.param == param
