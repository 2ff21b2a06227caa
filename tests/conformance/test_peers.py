# SPDX-License-Identifier: Apache-2.0
"""Mistakes that other gateways made and their users met: one test each, named for what was wrong there."""

from __future__ import annotations

from typing import Any

import httpx2
import openai
import pytest

from conformance.ask import MESSAGES, SENTENCE, WEATHER, Sound, check_object, check_usage, joined, said
from conformance.target import OPENAI, OWN

pytestmark = [pytest.mark.endpoint("mistakes of peers")]
chats = pytest.mark.needs("chat")
embeds = pytest.mark.needs("embedding")
LIMITED: Any = {"messages": MESSAGES, "max_tokens": 8}


@chats
def test_an_unknown_model_was_405(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="no-such-model", messages=MESSAGES)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/nothing"), ("GET", OPENAI + "/chat/completions"), ("POST", OWN + "/auth/api-keys")]
)
def test_errors_were_a_bare_detail(http: httpx2.Client, method: str, path: str) -> None:
    body = http.request(method, path).json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}


# Each has an effect that can be seen, or is refused where it is wrong: neither happens where it is dropped.
@chats
def test_top_p_was_dropped(client: openai.OpenAI, model: str) -> None:
    client.chat.completions.create(model=model, top_p=0.5, **LIMITED)
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model=model, top_p=5, **LIMITED)


@chats
def test_stop_was_dropped(client: openai.OpenAI, model: str) -> None:
    asked: Any = {**LIMITED, "temperature": 0, "seed": 1}
    word = (client.chat.completions.create(model=model, **asked).choices[0].message.content or "").split()[1]
    answer = client.chat.completions.create(model=model, stop=word, **asked)
    assert word not in (answer.choices[0].message.content or "")


@chats
def test_tools_were_dropped(client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.create(
        model=model, messages=said("The weather in Rome?"), tools=[WEATHER], tool_choice="required"
    )
    assert answer.choices[0].message.tool_calls


@chats
def test_n_was_dropped(client: openai.OpenAI, model: str) -> None:
    assert len(client.chat.completions.create(model=model, n=2, **LIMITED).choices) == 2


@chats
def test_seed_was_dropped(client: openai.OpenAI, model: str) -> None:
    asked: Any = {**LIMITED, "temperature": 1, "seed": 5}
    texts = {client.chat.completions.create(model=model, **asked).choices[0].message.content for _ in range(3)}
    assert len(texts) == 1
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model=model, **{**asked, "seed": "five"})


@chats
def test_response_format_was_dropped(client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.create(
        model=model, messages=said("Answer in JSON."), response_format={"type": "json_object"}, max_tokens=256
    )
    check_object(answer, model)


@chats
def test_roles_tool_and_developer_were_refused(client: openai.OpenAI, model: str) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    messages: Any = [
        {"role": "developer", "content": "Be short."},
        *MESSAGES,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "Sunny."},
    ]
    assert client.chat.completions.create(model=model, messages=messages, max_tokens=8).choices


@chats
def test_content_parts_were_refused(client: openai.OpenAI, model: str) -> None:
    messages: Any = [{"role": "user", "content": [{"type": "text", "text": SENTENCE}]}]
    assert client.chat.completions.create(model=model, messages=messages, max_tokens=8).choices[0].message.content


@chats
def test_id_was_empty_and_created_zero(client: openai.OpenAI, model: str) -> None:
    answers = [client.chat.completions.create(model=model, **LIMITED) for _ in range(2)]
    assert all(answer.id and answer.created > 1_500_000_000 for answer in answers)
    assert answers[0].id != answers[1].id


@chats
def test_every_chunk_had_an_id_of_its_own(client: openai.OpenAI, model: str) -> None:
    chunks = list(client.chat.completions.create(model=model, stream=True, **LIMITED))
    assert len(chunks) > 2
    assert len({chunk.id for chunk in chunks}) == 1


@chats
def test_the_role_was_repeated_in_every_chunk(client: openai.OpenAI, model: str) -> None:
    chunks = list(client.chat.completions.create(model=model, stream=True, **LIMITED))
    assert [chunk.choices[0].delta.role for chunk in chunks].count("assistant") == 1


@chats
def test_usage_was_zero_until_the_last_chunk(client: openai.OpenAI, model: str) -> None:
    chunks = list(
        client.chat.completions.create(model=model, stream=True, stream_options={"include_usage": True}, **LIMITED)
    )
    assert joined(chunks)
    assert all(chunk.usage is None for chunk in chunks[:-1])
    check_usage(chunks[-1].usage)


@embeds
def test_usage_of_embeddings_was_zero(client: openai.OpenAI, model: str) -> None:
    usage = client.embeddings.create(model=model, input=SENTENCE).usage
    assert usage.total_tokens == usage.prompt_tokens > 0


@embeds
def test_the_index_began_again_every_five_hundred_inputs(client: openai.OpenAI, model: str) -> None:
    answer = client.embeddings.create(model=model, input=[f"word {number}" for number in range(1001)])
    assert [entry.index for entry in answer.data] == list(range(1001))


@embeds
def test_token_arrays_were_refused(client: openai.OpenAI, model: str) -> None:
    assert len(client.embeddings.create(model=model, input=[[1, 2, 3], [4]]).data) == 2


@pytest.mark.needs("transcription")
@pytest.mark.parametrize(("form", "beginning"), [("srt", "1\n00:00:00,000 --> "), ("vtt", "WEBVTT\n\n")])
def test_the_response_format_of_audio_was_ignored(
    client: openai.OpenAI, model: str, sound: Sound, form: Any, beginning: str
) -> None:
    text = client.audio.transcriptions.create(model=model, file=sound, response_format=form)
    assert str(text).startswith(beginning) or (form == "srt" and str(text) == "")


@pytest.mark.needs("transcription")
def test_timestamps_were_ignored(client: openai.OpenAI, model: str, sound: Sound) -> None:
    answer = client.audio.transcriptions.create(
        model=model, file=sound, response_format="verbose_json", timestamp_granularities=["word"]
    )
    assert answer.words is not None


def test_lists_had_no_pages(http: httpx2.Client) -> None:
    page = http.get(f"{OWN}/auth/api-keys", params={"limit": 1}).json()
    assert {"data", "first_id", "last_id", "has_more"} <= set(page)
    assert len(page["data"]) <= 1


def test_a_single_model_could_not_be_asked_for(client: openai.OpenAI, model: str) -> None:
    assert client.models.retrieve(model).id == model


def test_the_interactive_pages_were_no_description(http: httpx2.Client) -> None:
    assert http.get("/openapi.json").json()["openapi"].startswith("3.")
