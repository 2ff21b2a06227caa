# SPDX-License-Identifier: Apache-2.0
"""chat/completions: answers in JSON, with and without a schema."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import openai
import pytest
from pydantic import BaseModel, Field

from conformance.ask import TEXT, check_chat, check_object, is_json, said

pytestmark = [pytest.mark.endpoint("chat/completions"), pytest.mark.needs("chat")]
QUESTION = said("Name a city and its country. Answer in JSON.")


class Place(BaseModel):
    """A place."""

    city: Annotated[str, Field(max_length=TEXT["maxLength"])]
    population: Annotated[int, Field(ge=0, le=100_000_000)]
    size: Literal["small", "large"]
    tags: Annotated[list[Literal["old", "green"]], Field(max_length=2)]


SCHEMA: Any = {
    "type": "json_schema",
    "json_schema": {
        "name": "place",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"city": TEXT, "size": {"enum": ["small", "large"]}},
            "required": ["city", "size"],
            "additionalProperties": False,
        },
    },
}


def test_json_object_gives_an_object(client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.create(
        model=model, messages=QUESTION, response_format={"type": "json_object"}, max_tokens=256
    )
    check_object(answer, model)


def test_json_schema_is_kept_to(client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.create(model=model, messages=QUESTION, response_format=SCHEMA, max_tokens=512)
    found = is_json(check_chat(answer, model))
    assert set(found) == {"city", "size"}
    assert isinstance(found["city"], str)
    assert found["size"] in ("small", "large")


def test_the_client_parses_an_answer_into_a_model(client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.parse(model=model, messages=QUESTION, response_format=Place, max_tokens=512)
    assert isinstance(answer.choices[0].message.parsed, Place)


def test_a_streamed_schema_is_parsed_at_the_end(client: openai.OpenAI, model: str) -> None:
    with client.chat.completions.stream(
        model=model, messages=QUESTION, response_format=Place, max_tokens=512
    ) as stream:
        kinds = [event.type for event in stream]
        parsed = stream.get_final_completion().choices[0].message.parsed
    assert "content.done" in kinds
    assert isinstance(parsed, Place)


def test_an_answer_in_json_that_is_cut_says_so(client: openai.OpenAI, model: str) -> None:
    with pytest.raises(openai.LengthFinishReasonError):
        client.chat.completions.parse(model=model, messages=QUESTION, response_format=Place, max_tokens=1)


@pytest.mark.exact
def test_the_schema_arrives_whole(client: openai.OpenAI, model: str) -> None:
    schema: Any = {
        "type": "object",
        "properties": {"a": {"const": "ä\u2028"}, "b": {"type": "integer", "minimum": 3}},
        "required": ["a", "b"],
    }
    answer = client.chat.completions.create(
        model=model,
        messages=said("x"),
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": schema}},
    )
    assert is_json(answer.choices[0].message.content) == {"a": "ä\u2028", "b": 3}


@pytest.mark.exact
def test_a_refusal_is_no_content(client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.parse(
        model=model, messages=said('/repeat refusal="Not that." -- x'), response_format=Place
    )
    message = answer.choices[0].message
    assert (message.refusal, message.content, message.parsed) == ("Not that.", None, None)
