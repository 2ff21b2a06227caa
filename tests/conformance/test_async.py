# SPDX-License-Identifier: Apache-2.0
"""The official client for asyncio: each endpoint once, streams, errors, and many at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any, TypeVar

import anyio
import openai
import pytest
from pydantic import BaseModel, Field

from conformance import strict
from conformance.ask import MESSAGES, SENTENCE, TEXT, WEATHER, Sound, check_chat, check_usage, joined, said
from conformance.target import Target

pytestmark = [pytest.mark.anyio]
Test = TypeVar("Test", bound=Callable[..., Awaitable[None]])
LIMITED: Any = {"messages": MESSAGES, "max_tokens": 8}


class Place(BaseModel):
    """A place."""

    city: Annotated[str, Field(max_length=TEXT["maxLength"])]


def marked(endpoint: str, *needs: str) -> Callable[[Test], Test]:
    """The marks of a test."""

    def mark(test: Test) -> Test:
        marked: Test = pytest.mark.endpoint(endpoint)(pytest.mark.needs(*needs)(test))
        return marked

    return mark


@pytest.fixture
async def client(target: Target) -> AsyncIterator[openai.AsyncOpenAI]:
    """The client with the admin key."""
    async with strict.async_client(target.base_url, target.key) as found:
        yield found


@pytest.mark.endpoint("models")
async def test_models(client: openai.AsyncOpenAI, model: str) -> None:
    assert model in [entry.id async for entry in client.models.list()]
    assert (await client.models.retrieve(model)).id == model


@marked("chat/completions", "chat")
async def test_chat(client: openai.AsyncOpenAI, model: str) -> None:
    assert check_chat(await client.chat.completions.create(model=model, **LIMITED), model)


@marked("chat/completions, stream", "chat")
async def test_a_streamed_chat(client: openai.AsyncOpenAI, model: str) -> None:
    stream = await client.chat.completions.create(
        model=model, stream=True, stream_options={"include_usage": True}, **LIMITED
    )
    chunks = [chunk async for chunk in stream]
    assert joined(chunks)
    assert len({chunk.id for chunk in chunks}) == 1
    check_usage(chunks[-1].usage)


@marked("chat/completions", "chat")
async def test_an_answer_is_parsed(client: openai.AsyncOpenAI, model: str) -> None:
    answer = await client.chat.completions.parse(
        model=model, messages=said("Name a city."), response_format=Place, max_tokens=256
    )
    assert isinstance(answer.choices[0].message.parsed, Place)


@marked("chat/completions, stream", "chat")
async def test_the_clients_stream_gathers_a_call(client: openai.AsyncOpenAI, model: str) -> None:
    async with client.chat.completions.stream(
        model=model, messages=said("The weather in Rome?"), tools=[WEATHER], tool_choice="required"
    ) as stream:
        final = await stream.get_final_completion()
    calls: Any = final.choices[0].message.tool_calls
    assert calls[0].function.name == "weather"


@marked("completions", "completion")
async def test_completions(client: openai.AsyncOpenAI, model: str) -> None:
    whole = await client.completions.create(model=model, prompt=SENTENCE, max_tokens=8, temperature=0, seed=1)
    stream = await client.completions.create(
        model=model, prompt=SENTENCE, max_tokens=8, temperature=0, seed=1, stream=True
    )
    assert "".join([choice.text async for chunk in stream for choice in chunk.choices]) == whole.choices[0].text


@marked("embeddings", "embedding")
async def test_embeddings(client: openai.AsyncOpenAI, model: str) -> None:
    answer = await client.embeddings.create(model=model, input=[SENTENCE, "one"])
    assert [entry.index for entry in answer.data] == [0, 1]
    assert all(isinstance(number, float) for number in answer.data[0].embedding)


@marked("audio", "transcription")
async def test_a_transcription(client: openai.AsyncOpenAI, model: str, sound: Sound) -> None:
    answer = await client.audio.transcriptions.create(model=model, file=sound, response_format="verbose_json")
    assert answer.segments is not None


@marked("audio", "translation")
@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
async def test_a_translation(client: openai.AsyncOpenAI, model: str, sound: Sound) -> None:
    assert isinstance((await client.audio.translations.create(model=model, file=sound)).text, str)


@marked("errors", "chat")
@pytest.mark.parametrize("stream", [False, True])
async def test_errors(client: openai.AsyncOpenAI, model: str, stream: bool) -> None:
    with pytest.raises(openai.NotFoundError):
        await client.chat.completions.create(model="no-such-model", stream=stream, **LIMITED)
    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.create(model=model, stream=stream, temperature=9, **LIMITED)
    assert caught.value.param == "temperature"


@marked("errors", "chat")
@pytest.mark.exact
async def test_an_error_amid_a_stream_is_raised(client: openai.AsyncOpenAI, model: str) -> None:
    stream = await client.chat.completions.create(
        model=model, messages=said("/repeat error=failed after=1 -- one two"), stream=True
    )
    with pytest.raises(openai.APIError):
        _ = [chunk async for chunk in stream]


@marked("chat/completions, stream", "chat")
async def test_streams_side_by_side_do_not_mix(client: openai.AsyncOpenAI, model: str) -> None:
    found: dict[int, tuple[str, int]] = {}

    async def one(number: int) -> None:
        stream = await client.chat.completions.create(model=model, stream=True, n=1 + number % 2, **LIMITED)
        chunks = [chunk async for chunk in stream]
        ids = {chunk.id for chunk in chunks}
        assert len(ids) == 1
        found[number] = (ids.pop(), len({choice.index for chunk in chunks for choice in chunk.choices}))

    async with anyio.create_task_group() as group:
        for number in range(16):
            group.start_soon(one, number)
    assert len({identity for identity, _ in found.values()}) == 16
    assert [found[number][1] for number in range(16)] == [1 + number % 2 for number in range(16)]


@marked("chat/completions, stream", "chat")
@pytest.mark.exact
async def test_a_caller_who_leaves_frees_the_backend(client: openai.AsyncOpenAI, model: str) -> None:
    stream = await client.chat.completions.create(
        model=model, messages=said("/repeat error=hang after=1 -- one two"), stream=True
    )
    async for chunk in stream:
        if joined([chunk]):
            break
    assert joined([chunk]) == "one"
    assert await outstanding(client, model) == 1
    await stream.close()
    with anyio.fail_after(10):
        while await outstanding(client, model):  # noqa: ASYNC110 - it happens in another process
            await anyio.sleep(0.05)


async def outstanding(client: openai.AsyncOpenAI, model: str) -> int:
    """How many requests the model's replicas have now."""
    base = str(client.base_url).replace("/openai/v1", "/cowabungaai/v1")
    answer: Any = await client.get(f"{base}states/backends", cast_to=object)
    backend = next(entry for entry in answer["data"] if model in entry["models"])
    return sum(replica["outstanding"] for replica in backend["replicas"])
