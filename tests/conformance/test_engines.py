# SPDX-License-Identifier: Apache-2.0
"""What only a real model can show: answers, formats, tools, stops, seeds, spoken words, texts that mean alike.

`speech.ogg` was made by espeak-ng from SPOKEN.
"""

from __future__ import annotations

import json
import re
from typing import Any

import openai
import pytest

from conformance.ask import SPEECH, WEATHER, check_chat, check_object, check_usage, said
from conformance.target import Model
from conformance.test_embeddings import alike

SPOKEN = "Please open the window, and bring me a glass of cold water before the train leaves."
PERSON: Any = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 20},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "tags": {"type": "array", "items": {"enum": ["kind", "tall", "loud"]}, "maxItems": 3},
    },
    "required": ["name", "age", "tags"],
    "additionalProperties": False,
}
chat_endpoint, needs_chat = pytest.mark.endpoint("chat/completions"), pytest.mark.needs("chat")
completions_endpoint, needs_completion = pytest.mark.endpoint("completions"), pytest.mark.needs("completion")


@pytest.fixture(autouse=True)
def _real(chosen: Model) -> None:
    if chosen.exact:
        pytest.skip(f"{chosen.id} is a repeater; what it does is not what a model does")


@chat_endpoint
@needs_chat
def test_it_answers_and_counts_its_tokens(client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.create(model=model, messages=said("Say hello."), max_tokens=20, temperature=0)
    check_chat(answer, model)
    assert answer.choices[0].message.content
    usage = check_usage(answer.usage)
    assert 0 < usage.completion_tokens <= 20


@chat_endpoint
@needs_chat
@pytest.mark.parametrize("temperature", [0, 1.2])
def test_it_obeys_a_schema(client: openai.OpenAI, model: str, temperature: float) -> None:
    form: Any = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON, "strict": True}}
    answer = client.chat.completions.create(
        model=model,
        messages=said("Describe a person."),
        response_format=form,
        temperature=temperature,
        seed=3,
        max_tokens=200,
    )
    assert answer.choices[0].finish_reason == "stop"
    person = json.loads(answer.choices[0].message.content or "")
    assert person.keys() == {"name", "age", "tags"}
    assert isinstance(person["name"], str)
    assert len(person["name"]) <= 20
    assert 0 <= person["age"] <= 150
    assert set(person["tags"]) <= {"kind", "tall", "loud"}


@chat_endpoint
@needs_chat
def test_it_writes_any_object_where_json_is_asked_for(client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.create(
        model=model,
        messages=said("Give the name and the age of a person in JSON."),
        response_format={"type": "json_object"},
        temperature=0,
        max_tokens=400,
    )
    check_object(answer, model)


@chat_endpoint
@needs_chat
def test_it_calls_the_tool_that_it_must(client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.create(
        model=model,
        messages=said("How is the weather in Rome?"),
        tools=[WEATHER],
        tool_choice={"type": "function", "function": {"name": "weather"}},
        temperature=0,
        max_tokens=200,
    )
    (call,) = answer.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "weather"
    arguments = json.loads(call.function.arguments)
    assert arguments.keys() == {"city"}
    assert isinstance(arguments["city"], str)


@chat_endpoint
@needs_chat
def test_it_stops_where_it_is_told(client: openai.OpenAI, model: str) -> None:
    def ask(**parameters: Any) -> Any:
        return client.chat.completions.create(
            model=model, messages=said("Count from one to twenty."), temperature=0, max_tokens=40, **parameters
        )

    whole = ask().choices[0].message.content or ""
    words = whole.split()
    assert len(words) > 2
    stop = words[len(words) // 2]
    cut = ask(stop=[stop]).choices[0]
    assert cut.finish_reason == "stop"
    assert cut.message.content == whole[: whole.index(stop)]


@chat_endpoint
@needs_chat
def test_the_same_seed_gives_the_same_answer(client: openai.OpenAI, model: str) -> None:
    def ask(seed: int) -> str:
        answer = client.chat.completions.create(
            model=model, messages=said("Tell a story."), temperature=1, seed=seed, max_tokens=24
        )
        return answer.choices[0].message.content or ""

    assert ask(7) == ask(7)
    assert len({ask(seed) for seed in range(4)}) > 1


@completions_endpoint
@needs_completion
def test_it_continues_a_text_as_it_streams_it(client: openai.OpenAI, model: str) -> None:
    parameters: Any = {"model": model, "prompt": "Once upon a time", "max_tokens": 24, "temperature": 0}
    whole = client.completions.create(**parameters).choices[0].text
    assert whole
    pieces = [chunk.choices[0].text for chunk in client.completions.create(**parameters, stream=True) if chunk.choices]
    assert "".join(pieces) == whole


@completions_endpoint
@needs_completion
def test_log_probabilities_are_of_the_likeliest_tokens_when_greedy(client: openai.OpenAI, model: str) -> None:
    answer = client.completions.create(model=model, prompt="The sky is", max_tokens=6, temperature=0, logprobs=3)
    found: Any = answer.choices[0].logprobs
    for token, logprob, top in zip(found.tokens, found.token_logprobs, found.top_logprobs, strict=True):
        assert logprob <= 0
        assert logprob == pytest.approx(max(top.values()), abs=1e-4), token


@pytest.mark.endpoint("embeddings")
@pytest.mark.needs("embedding")
def test_texts_that_mean_alike_are_near(client: openai.OpenAI, model: str) -> None:
    texts = [
        "A man is playing a guitar on the stage.",
        "A musician performs a song with his guitar.",
        "The stock market fell sharply on Monday.",
        "Shares lost much of their value at the start of the week.",
    ]
    guitar, musician, market, shares = (
        entry.embedding for entry in client.embeddings.create(model=model, input=texts).data
    )
    related = min(alike(guitar, musician), alike(market, shares))
    unrelated = max(alike(guitar, market), alike(guitar, shares), alike(musician, market), alike(musician, shares))
    assert related > unrelated + 0.2


def words(text: str) -> list[str]:
    """A text's words, as they are compared."""
    return re.findall(r"[a-z]+", text.lower())


@pytest.mark.endpoint("audio")
@pytest.mark.needs("transcription")
def test_what_is_spoken_is_written(client: openai.OpenAI, model: str) -> None:
    answer: Any = client.audio.transcriptions.create(
        model=model,
        file=SPEECH,
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )
    heard, expected = words(answer.text), words(SPOKEN)
    assert sum(word in heard for word in expected) >= len(expected) - 2
    assert answer.language in ("english", "en")
    assert 4 < answer.duration < 8
    starts = [word.start for word in answer.words]
    assert starts == sorted(starts)
    assert all(0 <= word.start <= word.end <= answer.duration + 0.1 for word in answer.words)
    assert words(" ".join(word.word for word in answer.words)) == heard


@pytest.mark.endpoint("audio")
@pytest.mark.needs("transcription")
def test_what_is_streamed_is_what_is_written(client: openai.OpenAI, model: str) -> None:
    whole = client.audio.transcriptions.create(model=model, file=SPEECH, temperature=0).text
    events = list(client.audio.transcriptions.create(model=model, file=SPEECH, temperature=0, stream=True))
    done = [event for event in events if event.type == "transcript.text.done"]
    assert [words(event.text) for event in done] == [words(whole)]
    deltas = [event.delta for event in events if event.type == "transcript.text.delta"]
    assert words("".join(deltas)) == words(whole)
