# SPDX-License-Identifier: Apache-2.0
"""POST embeddings, by the official client, which asks for base64."""

import math

import openai
import pytest


def test_vectors_have_length_one(client):
    answer = client.embeddings.create(model="repeater", input="one two")
    vector = answer.data[0].embedding
    assert (answer.object, answer.data[0].object, len(vector)) == ("list", "embedding", 384)
    assert math.isclose(sum(value * value for value in vector), 1, abs_tol=1e-5)
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (2, 2)


@pytest.mark.anyio
async def test_vectors_async(async_client):
    async with async_client:
        answer = await async_client.embeddings.create(model="repeater", input="one two")
    assert len(answer.data[0].embedding) == 384


def test_numbers_and_base64_are_the_same(client):
    texts = {
        form: client.embeddings.create(model="repeater", input="x", encoding_format=form)
        for form in ("float", "base64")
    }
    assert isinstance(texts["base64"].data[0].embedding, str)
    decoded = client.embeddings.create(model="repeater", input="x").data[0].embedding
    assert decoded == pytest.approx(texts["float"].data[0].embedding)


def test_without_format_there_are_numbers(http):
    answer = http.post("/openai/v1/embeddings", json={"model": "repeater", "input": "x"}).json()
    assert isinstance(answer["data"][0]["embedding"], list)


def test_order_and_numbers_of_many(client):
    words = [f"word {number}" for number in range(600)]
    answer = client.embeddings.create(model="repeater", input=words)
    assert [entry.index for entry in answer.data] == list(range(600))
    alone = client.embeddings.create(model="repeater", input=words[599]).data[0].embedding
    assert answer.data[599].embedding == alone


@pytest.mark.parametrize(("tokens", "count"), [([1, 2, 3], 1), ([[1, 2], [3]], 2)])
def test_tokens_are_inputs_too(client, tokens, count):
    assert len(client.embeddings.create(model="repeater", input=tokens).data) == count


def test_dimensions(client):
    assert len(client.embeddings.create(model="repeater", input="x", dimensions=16).data[0].embedding) == 16


@pytest.mark.parametrize(
    ("parameters", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", ""]}, "input[1]"),
        ({"input": {"a": 1}}, "input"),
        ({"input": ["a"] * 2049}, "input"),  # too many
        ({"dimensions": 0}, "dimensions"),
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"stream": True}, "stream"),
    ],
)
def test_wrong_parameter_is_refused_by_name(client, parameters, param):
    with pytest.raises(openai.BadRequestError) as raised:
        client.embeddings.create(**{"model": "repeater", "input": "a", "extra_body": parameters})
    assert raised.value.param == param
