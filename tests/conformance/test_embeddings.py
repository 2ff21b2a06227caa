# SPDX-License-Identifier: Apache-2.0
"""embeddings: forms of the input, dimensions, encodings, order, usage."""

from __future__ import annotations

import base64
import math
import struct
from typing import Any

import httpx2
import openai
import pytest
from openai.types import CreateEmbeddingResponse

from conformance.target import OPENAI, OWN, Model

pytestmark = [pytest.mark.endpoint("embeddings"), pytest.mark.needs("embedding")]
TEXTS = [f"sentence number {number}" for number in range(7)]


def vectors(answer: CreateEmbeddingResponse, model: str) -> list[list[float]]:
    """Checks what every answer has, and returns the vectors."""
    assert answer.object == "list"
    assert answer.model == model
    assert [entry.index for entry in answer.data] == list(range(len(answer.data)))
    assert all(entry.object == "embedding" for entry in answer.data)
    assert answer.usage.total_tokens == answer.usage.prompt_tokens > 0
    return [entry.embedding for entry in answer.data]


def alike(first: list[float], second: list[float]) -> float:
    """The cosine of two vectors."""
    return sum(map(float.__mul__, first, second)) / math.hypot(*first) / math.hypot(*second)


@pytest.mark.parametrize(
    ("given", "count"),
    [("one", 1), (["one"], 1), (TEXTS, 7), ([11, 12, 13], 1), ([[11, 12], [13]], 2)],
    ids=["text", "a list of one", "texts", "tokens", "lists of tokens"],
)
def test_all_kinds_of_input_are_taken(client: openai.OpenAI, model: str, chosen: Model, given: Any, count: int) -> None:
    found = vectors(client.embeddings.create(model=model, input=given), model)
    assert len(found) == count
    assert {len(vector) for vector in found} == {chosen.dimensions or len(found[0])}


def test_vectors_keep_the_order_of_the_inputs(client: openai.OpenAI, model: str) -> None:
    together = vectors(client.embeddings.create(model=model, input=TEXTS), model)
    alone = [vectors(client.embeddings.create(model=model, input=text), model)[0] for text in TEXTS]
    assert all(alike(first, second) > 0.999 for first, second in zip(together, alone, strict=True))
    assert alike(together[0], together[1]) < 0.999


def test_two_thousand_inputs_are_numbered_through(client: openai.OpenAI, model: str) -> None:
    answer = client.embeddings.create(model=model, input=[f"word {number}" for number in range(2048)])
    assert len(vectors(answer, model)) == 2048


def test_usage_grows_with_the_input(client: openai.OpenAI, model: str) -> None:
    one, many = (client.embeddings.create(model=model, input=["some words"] * count).usage for count in (1, 5))
    assert many.prompt_tokens == 5 * one.prompt_tokens


def test_base64_which_the_client_asks_for_and_float_are_the_same(client: openai.OpenAI, model: str) -> None:
    decoded = vectors(client.embeddings.create(model=model, input="one"), model)[0]
    plain = vectors(client.embeddings.create(model=model, input="one", encoding_format="float"), model)[0]
    assert decoded == pytest.approx(plain, rel=1e-6)


def test_the_client_hands_on_base64_where_it_is_told_to(client: openai.OpenAI, model: str) -> None:
    answer: Any = client.embeddings.create(model=model, input="one", encoding_format="base64")
    plain = vectors(client.embeddings.create(model=model, input="one", encoding_format="float"), model)[0]
    raw = base64.b64decode(answer.data[0].embedding, validate=True)
    assert struct.unpack(f"<{len(plain)}f", raw) == pytest.approx(plain, rel=1e-6)


def test_without_a_format_the_wire_has_numbers(http: httpx2.Client, model: str) -> None:
    for prefix in (OPENAI, OWN):
        answer = http.post(f"{prefix}/embeddings", json={"model": model, "input": "one"})
        assert all(isinstance(number, float) for number in answer.json()["data"][0]["embedding"])


def test_a_user_may_be_named(client: openai.OpenAI, model: str) -> None:
    assert vectors(client.embeddings.create(model=model, input="one", user="somebody"), model)


@pytest.mark.exact
@pytest.mark.parametrize("dimensions", [1, 8, 384, 1000])
def test_dimensions_shorten_and_keep_the_length_of_one(client: openai.OpenAI, model: str, dimensions: int) -> None:
    whole = vectors(client.embeddings.create(model=model, input="one", dimensions=1000), model)[0]
    cut = vectors(client.embeddings.create(model=model, input="one", dimensions=dimensions), model)[0]
    assert len(cut) == dimensions
    assert math.hypot(*cut) == pytest.approx(1, rel=1e-5)
    assert alike(cut, whole[:dimensions]) == pytest.approx(1, rel=1e-5)


@pytest.mark.exact
def test_too_many_dimensions_are_refused(client: openai.OpenAI, model: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model=model, input="one", dimensions=5000)
    assert caught.value.param == "dimensions"


@pytest.mark.exact
def test_usage_counts_words_and_tokens(client: openai.OpenAI, model: str) -> None:
    assert client.embeddings.create(model=model, input=["a b", "c"]).usage.prompt_tokens == 3
    assert client.embeddings.create(model=model, input=[[1, 2], [3, 4, 5]]).usage.prompt_tokens == 5
