# SPDX-License-Identifier: Apache-2.0
"""Prompts continued by a real model."""

import math

import pytest

from cowabungaai_llama_cpp.backend import LlamaBackend
from cowabungaai_llama_cpp.config import LlamaConfig
from cowabungaai_sdk.client import BackendClient
from cowabungaai_sdk.cpus import usable_cpus
from cowabungaai_sdk.errors import InvalidRequestError
from cowabungaai_sdk.models import locate
from cowabungaai_sdk.server import BackendServer, ServerConfig
from cowabungaai_sdk.v1.common_pb2 import FINISH_REASON_LENGTH, FINISH_REASON_STOP
from support import MODEL_ID, continued, prompted

pytestmark = [pytest.mark.anyio, pytest.mark.model]

FRANCE = "The capital of France is"


async def test_prompt_is_continued(client):
    text, reason = await continued(client, prompted(FRANCE, max_tokens=8))
    assert (text[:4], reason) == (" the", FINISH_REASON_LENGTH)


async def test_answers_of_several_prompts_keep_their_order(client):
    response = await client.complete(prompted(FRANCE, "1, 2, 3, 4,", n=2, max_tokens=3))
    assert [choice.index for choice in response.choices] == [0, 1, 2, 3]
    texts = [choice.text for choice in response.choices]
    assert texts[0] == texts[1]
    assert "5" in texts[2]
    assert texts[2] == texts[3]
    assert response.usage.completion_tokens == 12


async def test_streams_of_several_prompts(client):
    request = prompted(FRANCE, "Once", max_tokens=4)
    texts = ["", ""]
    async for chunk in client.complete_stream(request):
        for choice in chunk.choices:
            texts[choice.index] += choice.text
    assert texts == [choice.text for choice in (await client.complete(request)).choices]


async def test_echo_with_log_probabilities(client):
    response = await client.complete(prompted(FRANCE, echo=True, logprobs=2, max_tokens=2))
    choice = response.choices[0]
    assert choice.text.startswith(FRANCE)
    assert "".join(item.token for item in choice.logprobs) == choice.text
    assert all(item.HasField("logprob") and len(item.top) == 2 for item in choice.logprobs)


async def test_echo_without_an_answer_scores_the_prompt(client):
    response = await client.complete(prompted(FRANCE, echo=True, logprobs=0, max_tokens=0))
    choice = response.choices[0]
    assert (choice.text, choice.finish_reason) == (FRANCE, FINISH_REASON_LENGTH)
    assert response.usage.completion_tokens == 0
    likely = sum(item.logprob for item in choice.logprobs)
    other = (await client.complete(prompted("The is of France capital", echo=True, logprobs=0, max_tokens=0))).choices[
        0
    ]
    assert likely > sum(item.logprob for item in other.logprobs)


async def test_long_prompt_is_scored_like_a_short_one(client):
    text = "One two three four five six seven eight nine ten. " * 8
    response = await client.complete(prompted(text, echo=True, logprobs=1, max_tokens=1))
    assert len(response.choices[0].logprobs) == response.usage.prompt_tokens - 1 + 1


async def test_tokens_are_taken_as_they_are(client):
    response = await client.complete(prompted([2, 818, 5279, 529, 7001, 563], max_tokens=2, echo=True))
    assert response.usage.prompt_tokens == 6
    assert response.choices[0].text.startswith(FRANCE)


async def test_token_out_of_range_is_refused(client):
    with pytest.raises(InvalidRequestError, match="has the token 262144; expected ids below 262144") as raised:
        await client.complete(prompted("x", [5, 262_144]))
    assert raised.value.param == "prompts[1]"


async def test_empty_prompt_begins_a_text(client):
    assert (await client.complete(prompted("", max_tokens=1))).usage.prompt_tokens == 1


async def test_best_of_gives_the_likeliest(client):
    parameters = {"temperature": 1, "seed": 3, "max_tokens": 4}
    response = await client.complete(prompted(FRANCE, n=1, best_of=4, logprobs=0, **parameters))
    every = await client.complete(prompted(FRANCE, n=4, logprobs=0, **parameters))

    def score(choice):
        values = [item.logprob for item in choice.logprobs]
        return sum(values) / len(values)

    assert score(response.choices[0]) == pytest.approx(max(map(score, every.choices)), abs=0.2)
    assert response.usage.completion_tokens == 16


async def test_suffix_is_refused_by_models_that_cannot_fill(client):
    with pytest.raises(InvalidRequestError, match="not trained to fill gaps") as raised:
        await client.complete(prompted("def f():", suffix="return x"))
    assert raised.value.param == "suffix"


async def test_likeliest_tokens_are_in_order(client):
    response = await client.complete(prompted(FRANCE, logprobs=5, max_tokens=3))
    for item in response.choices[0].logprobs:
        values = [top.logprob for top in item.top]
        assert values == sorted(values, reverse=True)
        assert sum(map(math.exp, values)) <= 1.0001


async def test_bias_forbids_and_forces(client):
    first = (await client.complete(prompted(FRANCE, max_tokens=1, logprobs=0))).choices[0].text
    forbidden = await client.complete(prompted(FRANCE, max_tokens=1, logit_bias={506: -100}))
    forced = await client.complete(prompted(FRANCE, max_tokens=3, logit_bias={7001: 100}))
    assert forbidden.choices[0].text != first == " the"
    assert forced.choices[0].text == " France" * 3


async def test_penalties_count_the_answer_only(client):
    prompt = "a a a a a a a a a a a a a a a a"
    plain = await continued(client, prompted(prompt, max_tokens=6))
    assert plain[0] == " a" * 6
    answered = await continued(client, prompted(prompt, max_tokens=6, frequency_penalty=2, presence_penalty=2))
    assert answered[0].startswith(" a")
    repeated = await continued(client, prompted(prompt, max_tokens=6, repetition_penalty=1e6))
    assert not repeated[0].startswith(" a")


async def test_end_is_kept_back_by_min_tokens(client):
    # All but the ends are forbidden by their weight: without min_tokens the answer is empty.
    ends = {1: 100.0, 106: 100.0}
    assert await continued(client, prompted(FRANCE, max_tokens=8, logit_bias=ends)) == ("", FINISH_REASON_STOP)
    response = await client.complete(prompted(FRANCE, max_tokens=8, min_tokens=5, logit_bias=ends))
    assert response.usage.completion_tokens == 5


async def test_kernels_that_are_faster_for_long_prompts_write_the_same(client, model_folder):
    config = LlamaConfig(context_length=1024, parallel=2, threads=usable_cpus(), reproducible=False)
    server = BackendServer(LlamaBackend([locate(f"{MODEL_ID}={model_folder}")], config), ServerConfig("127.0.0.1", 0))
    port = await server.start()
    await server.load()
    request = prompted("1, 2, 3, 4, 5, 6, 7, 8, 9, 10, " * 20, max_tokens=12)
    async with BackendClient(f"127.0.0.1:{port}", timeout_s=120) as faster:
        assert await continued(faster, request) == await continued(client, request)
    await server.stop()
