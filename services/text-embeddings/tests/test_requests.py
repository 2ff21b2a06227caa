# SPDX-License-Identifier: Apache-2.0
"""What requests may ask for, and what is refused, by each engine."""

import asyncio
import json
import shutil

import numpy as np
import pytest
from tokenizers import Tokenizer

import tiny
from cowabungaai_sdk.errors import (
    BackendFailedError,
    BackendOverloadedError,
    BackendUnavailableError,
    InvalidRequestError,
)
from cowabungaai_sdk.models import ModelError, locate
from cowabungaai_sdk.v1 import models_pb2
from cowabungaai_sdk.v1.chat_pb2 import ROLE_USER, ChatMessage, ContentPart
from cowabungaai_sdk.v1.tokens_pb2 import Conversation, CountTokensRequest
from cowabungaai_text_embeddings.backend import TextEmbeddings
from cowabungaai_text_embeddings.config import Settings
from cowabungaai_text_embeddings.convert import save
from cowabungaai_text_embeddings.engine_onnx import OnnxEngine
from cowabungaai_text_embeddings.folder import Folder
from cowabungaai_text_embeddings.tokens import Reader
from reference import Reference
from support import Watch, embed, queued, request

pytestmark = pytest.mark.anyio
TEXTS = ["the cat sits on the mat", "sun", "a dog runs"]
LONG = "the cat sits on the mat " * 20
CONTEXT = 32


async def refusal(client, *inputs, **parameters) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as raised:
        await client.embed(request(list(inputs), **parameters))
    return raised.value


async def test_models_are_described(serve_any, folder):
    (model,) = await (await serve_any(folder)).models()
    assert (model.id, model.context_length, model.dimensions) == ("tiny", CONTEXT, tiny.WIDTH)
    assert list(model.capabilities) == [models_pb2.CAPABILITY_EMBEDDING, models_pb2.CAPABILITY_TOKEN_COUNT]


async def test_usage_counts_all_tokens(serve_any, folder):
    client = await serve_any(folder)
    answer = await client.embed(request(TEXTS))
    assert answer.usage.prompt_tokens == sum(len(Reference(folder).ids(text)) for text in TEXTS)
    assert answer.usage.completion_tokens == 0
    assert answer.model == "tiny"


async def test_texts_beside_it_do_not_change_a_vector(serve_any, folder):
    client = await serve_any(folder)
    together = await embed(client, [*TEXTS, *TEXTS])
    alone = np.concatenate([await embed(client, [text]) for text in TEXTS])
    np.testing.assert_allclose(together, np.concatenate([alone, alone]), atol=1e-6)


@pytest.mark.parametrize("special", [True, False])
async def test_tokens_are_as_their_text(serve_any, folder, special):
    client = await serve_any(folder)
    tokenizer = Reference(folder).tokenizer
    tokens = [tokenizer.encode(text, add_special_tokens=special).ids for text in TEXTS]
    np.testing.assert_allclose(await embed(client, tokens), await embed(client, TEXTS), atol=1e-6)


async def test_texts_and_tokens_go_together(serve_any, folder):
    client = await serve_any(folder)
    tokens = Reference(folder).ids(TEXTS[0])
    found = await embed(client, [tokens, *TEXTS])
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)


async def test_unknown_token_is_refused(serve_any, folder):
    most = len(tiny.VOCABULARY) - 1
    refused = await refusal(await serve_any(folder), "sun", [3, most, most + 1])
    assert str(refused) == f"token {most + 1} is none; expected 0 to {most}"
    assert refused.param == "inputs[1]"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("the " * 31, "the input has 33 tokens or more; the model reads 32 tokens; shorten it, or set truncate"),
        ("the " * 1000, "the input has 33 tokens or more"),
        ("the " * 3000, "the input has 12000 characters; the model reads 32 tokens"),
        ([5] * 31, "the input has 33 tokens or more"),
        ([5] * 100_000, "the input has 100000 tokens"),
        ([10**9] * 100_000, "the input has 100000 tokens"),
    ],
)
async def test_too_long_input_is_refused(serve_any, folder, given, message):
    refused = await refusal(await serve_any(folder), "sun", given)
    assert message in str(refused)
    assert (refused.param, refused.code_name) == ("inputs[1]", "context_length_exceeded")


async def test_longest_input_is_read(serve_any, folder):
    text = "the " * 30
    found = await embed(await serve_any(folder), [text])
    np.testing.assert_allclose(found, [Reference(folder).embed(text)], atol=2e-5)


@pytest.mark.parametrize("repeated", [2, 20, 5000])
@pytest.mark.parametrize("words", ["the cat sits on the mat ", "thecatsitsonthemat", "\n", "   cat"])
async def test_too_long_text_is_cut_where_asked(serve, folder, words, repeated):
    client = await serve(folder, precision="float32")
    reference = Reference(folder)
    ids = reference.tokenizer.encode(words * repeated, add_special_tokens=False).ids[: CONTEXT - 2]
    first, last = reference.ids("")
    found = await embed(client, [words * repeated], truncate=True)
    np.testing.assert_allclose(found, [reference.vector([first, *ids, last])], atol=2e-5)


async def test_too_long_tokens_are_cut_where_asked(serve_any, folder):
    client = await serve_any(folder)
    ids = Reference(folder).ids(LONG)
    found = await embed(client, [ids, ids[1:-1], LONG], truncate=True)
    np.testing.assert_allclose(found[:2], [found[2]] * 2, atol=1e-6)


async def test_usage_of_what_is_cut_is_the_context(serve_any, folder):
    answer = await (await serve_any(folder)).embed(request([LONG], truncate=True))
    assert answer.usage.prompt_tokens == CONTEXT


async def test_setting_cuts_unless_the_request_says_otherwise(serve_any, folder):
    client = await serve_any(folder, truncate=True)
    np.testing.assert_allclose(await embed(client, [LONG]), await embed(client, [LONG], truncate=True), atol=1e-6)
    assert (await refusal(client, LONG, truncate=False)).code_name == "context_length_exceeded"


async def test_context_is_as_set(serve_any, folder):
    client = await serve_any(folder, context_length=tiny.POSITIONS)
    assert [model.context_length for model in await client.models()] == [tiny.POSITIONS]
    text = "the " * (tiny.POSITIONS - 2)
    np.testing.assert_allclose(await embed(client, [text]), [Reference(folder).embed(text)], atol=2e-5)
    assert "the model reads 40 tokens" in str(await refusal(client, text + "the"))


async def test_context_beyond_the_positions_is_refused(serve_any, folder):
    with pytest.raises(ModelError, match=r"context-length is 41; .* has positions for 40 tokens"):
        await serve_any(folder, context_length=41)


async def test_shorter_vectors_are_the_beginning_as_unit_vectors(serve_any, folder):
    client = await serve_any(folder, matryoshka=True)
    whole = await embed(client, TEXTS)
    for size in (1, 7, 31):
        short = await embed(client, TEXTS, dimensions=size)
        wanted = whole[:, :size] / np.linalg.norm(whole[:, :size], axis=1, keepdims=True)
        np.testing.assert_allclose(short, wanted, atol=1e-6)
    np.testing.assert_allclose(await embed(client, TEXTS, dimensions=tiny.WIDTH), whole, atol=1e-6)
    assert str(await refusal(client, "sun", dimensions=33)) == "dimensions is 33; expected 1 to 32"


async def test_model_that_was_not_trained_for_it_gives_no_shorter_vectors(serve_any, folder):
    client = await serve_any(folder)
    refused = await refusal(client, "sun", dimensions=16)
    assert "'tiny' was not trained for shorter vectors; leave dimensions out, or ask for 32" in str(refused)
    assert refused.param == "dimensions"
    assert (await embed(client, ["sun"], dimensions=32)).shape == (1, 32)


@pytest.mark.parametrize("place", ["config.json", "config_sentence_transformers.json"])
async def test_model_names_its_shorter_dimensions(serve, tmp_path, place):
    folder = tiny.make(tmp_path / "tiny")
    key = "matryoshka_dimensions" if place == "config.json" else "matryoshka_dims"
    tiny.write_json(folder / place, {**json.loads((folder / place).read_text()), key: [8, 16]})
    client = await serve(folder)
    assert (await embed(client, ["sun"], dimensions=16)).shape == (1, 16)
    assert str(await refusal(client, "sun", dimensions=12)) == "dimensions is 12; expected one of 8, 16, 32"


async def test_model_card_or_configuration_may_tell_that_vectors_can_be_cut(serve, tmp_path):
    by_card, by_config = tiny.make(tmp_path / "card"), tiny.make(tmp_path / "config", is_matryoshka=True)
    (by_card / "README.md").write_text("---\ntags:\n- sentence-transformers\n- Matryoshka\n---\n# A model\n")
    client = await serve(by_card, by_config)
    for model in ("card", "config"):
        assert (await embed(client, ["sun"], model=model, dimensions=3)).shape == (1, 3)


async def test_setting_forbids_shorter_vectors(serve, tmp_path):
    client = await serve(tiny.make(tmp_path / "tiny", is_matryoshka=True), matryoshka=False)
    assert (await refusal(client, "sun", dimensions=3)).param == "dimensions"


PROMPTS = {"prompts": {"query": "one two ", "passage": "three "}, "default_prompt_name": "passage"}


@pytest.mark.parametrize(("name", "prompt"), [(None, "three "), ("query", "one two ")])
async def test_prompt_goes_before_every_text(serve_any, tmp_path, name, prompt):
    folder = tiny.make(tmp_path / "tiny", prompts=PROMPTS)
    client = await serve_any(folder, prompt=name)
    reference = Reference(folder)
    np.testing.assert_allclose(
        await embed(client, TEXTS), [reference.embed(prompt + text) for text in TEXTS], atol=2e-5
    )
    refused = await refusal(client, [5, 6])
    assert "puts a prompt before texts; send the text, not tokens" in str(refused)
    counted = await client.count_tokens(CountTokensRequest(model="tiny", text="sun"))
    assert counted.count == len(reference.ids(prompt + "sun"))


async def test_empty_name_of_a_prompt_is_none(serve_any, tmp_path):
    folder = tiny.make(tmp_path / "tiny", prompts=PROMPTS)
    client = await serve_any(folder, prompt="")
    np.testing.assert_allclose(await embed(client, TEXTS), [Reference(folder).embed(text) for text in TEXTS], atol=2e-5)
    assert (await embed(client, [[5, 6]])).shape == (1, tiny.WIDTH)


async def test_prompt_that_is_not_there_is_refused(serve, tmp_path):
    folder = tiny.make(tmp_path / "tiny", prompts=PROMPTS)
    with pytest.raises(ModelError, match=r"has no prompt 'document'; it has 'query', 'passage', in config_sentence"):
        await serve(folder, prompt="document")


async def test_prompt_that_does_not_count_in_the_pooling_is_refused(serve, tmp_path):
    folder = tiny.make(tmp_path / "tiny", prompts=PROMPTS)
    path = folder / "1_Pooling/config.json"
    tiny.write_json(path, {**json.loads(path.read_text()), "include_prompt": False})
    with pytest.raises(ModelError, match="leaves prompts out of its pooling"):
        await serve(folder)


async def test_prompt_that_fills_the_context_is_refused(serve, tmp_path):
    folder = tiny.make(tmp_path / "tiny", prompts={"prompts": {"q": "one " * 30}, "default_prompt_name": "q"})
    with pytest.raises(ModelError, match="special tokens and prompt leave no room in a context of 32 tokens"):
        await serve(folder)


async def test_model_may_want_lower_case(serve_any, folder):
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["normalizer"]["lowercase"] = False
    tiny.write_json(folder / "tokenizer.json", tokenizer)
    tiny.write_json(folder / "sentence_bert_config.json", {"max_seq_length": 32, "do_lower_case": True})
    client = await serve_any(folder)
    np.testing.assert_allclose(await embed(client, ["THE Cat"]), await embed(client, ["the cat"]), atol=1e-6)


async def test_text_without_any_token_is_refused(serve_any, folder):
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.post_processor = None
    tokenizer.save(str(folder / "tokenizer.json"))
    client = await serve_any(folder)
    refused = await refusal(client, "sun", " \n")
    assert "the input has no token that the model reads" in str(refused)
    assert refused.param == "inputs[1]"
    np.testing.assert_allclose(await embed(client, ["sun"]), [Reference(folder).embed("sun")], atol=2e-5)


async def test_too_many_inputs_are_refused(serve_any, folder):
    client = await serve_any(folder, max_inputs=3)
    assert (await embed(client, ["sun"] * 3)).shape == (3, 32)
    refused = await refusal(client, *["sun"] * 4)
    assert (str(refused), refused.param) == ("there are 4 inputs; expected at most 3", "inputs")


async def test_inputs_that_are_too_long_together_are_refused(serve_any, folder):
    client = await serve_any(folder, max_request_tokens=20)
    assert (await embed(client, ["sun moon"] * 5)).shape == (5, 32)
    refused = await refusal(client, *["sun moon"] * 6)
    assert str(refused) == "the inputs have 24 tokens or more together; expected at most 20; send fewer at once"
    assert (refused.param, refused.code_name) == ("inputs", "max_tokens_per_request")


@pytest.mark.parametrize("truncate", [False, True])
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([[5] * 10, [5] * 11], "the inputs have 21 tokens together; expected at most 20; send fewer at once"),
        (
            ["é" * 80, "😀" * 81],
            "the inputs have 161 characters together; expected at most 160, 8 for each of 20 tokens",
        ),
    ],
)
async def test_large_request_is_refused_before_it_is_read(serve_any, folder, monkeypatch, given, message, truncate):
    client = await serve_any(folder, max_request_tokens=20)
    monkeypatch.setattr(Reader, "read", lambda *_: 1 / 0)
    refused = await refusal(client, *given, truncate=truncate)
    assert message in str(refused)
    assert (refused.param, refused.code_name) == ("inputs", "max_tokens_per_request")


async def test_as_many_inputs_as_openai_allows_are_answered_in_order(serve_any, folder):
    client = await serve_any(folder)
    texts = [" ".join(tiny.WORDS[number % 21] for number in range(at % 23 + 1)) for at in range(2048)]
    found = await embed(client, texts)
    some = [0, 1, 22, 500, 1000, 2047]
    np.testing.assert_allclose(found[some], [Reference(folder).embed(texts[at]) for at in some], atol=2e-5)


async def test_tokens_are_counted(serve_any, folder):
    client = await serve_any(folder)
    for text in ("", "the cat", LONG):
        counted = await client.count_tokens(CountTokensRequest(model="tiny", text=text))
        assert counted.count == len(Reference(folder).ids(text))


async def test_tokens_of_a_conversation_are_not_counted(serve_any, folder):
    client = await serve_any(folder)
    message = ChatMessage(role=ROLE_USER, content=[ContentPart(text="hello")])
    asked = CountTokensRequest(model="tiny", conversation=Conversation(messages=[message]))
    with pytest.raises(InvalidRequestError, match="the model reads texts, not conversations") as raised:
        await client.count_tokens(asked)
    assert raised.value.param == "conversation"


async def test_several_models_are_served(serve_any, tmp_path):
    folders = [tiny.make(tmp_path / "one"), tiny.make(tmp_path / "two", "mpnet", dense=5)]
    client = await serve_any(*folders)
    assert [(model.id, model.dimensions) for model in await client.models()] == [("one", 32), ("two", 5)]
    for folder in folders:
        found = await embed(client, TEXTS, model=folder.name)
        np.testing.assert_allclose(found, [Reference(folder).embed(text) for text in TEXTS], atol=2e-5)


async def test_clients_over_the_limits_are_refused_and_all_others_answered(serve, folder, monkeypatch):
    client = await serve(folder, max_concurrency=2, max_queue=64, precision="float32")
    watch = Watch(monkeypatch)
    calls = [asyncio.create_task(embed(client, [TEXTS[at % 3]])) for at in range(100)]
    refused = 0
    for call in asyncio.as_completed(calls):
        with pytest.raises(BackendOverloadedError, match="try again later"):
            await call
        if (refused := refused + 1) == 34:
            break
    watch.go()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    served = [at for at, answer in enumerate(answers) if not isinstance(answer, Exception)]
    assert len(served) == 66
    reference = Reference(folder)
    wanted = [reference.embed(TEXTS[at % 3]) for at in served]
    np.testing.assert_allclose(np.concatenate([answers[at] for at in served]), wanted, atol=2e-5)


async def test_failure_of_the_engine_is_told_and_does_not_last(serve, folder, monkeypatch):
    client = await serve(folder)
    with monkeypatch.context() as broken:
        broken.setattr(OnnxEngine, "vectors", lambda engine, texts: 1 / 0)
        with pytest.raises(BackendFailedError, match="ZeroDivisionError in the backend; its log says where"):
            await embed(client, TEXTS)
    assert (await embed(client, TEXTS)).shape == (3, 32)


async def test_tokenizer_of_another_model_is_told(serve, tmp_path):
    folder = tiny.make(tmp_path / "tiny")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_tokens(["zeppelin"])
    tokenizer.save(str(folder / "tokenizer.json"))
    client = await serve(folder)
    with pytest.raises(BackendFailedError, match="the tokenizer made token 51; the model has 51 of them"):
        await embed(client, ["zeppelin"])


async def test_texts_of_a_client_that_has_gone_are_not_worked_on(folder, monkeypatch):
    backend = TextEmbeddings([locate(str(folder))], Settings(streams=1))
    await backend.load()
    watch = Watch(monkeypatch)
    stays = asyncio.create_task(backend.embed(request(["sun"])))
    assert await asyncio.to_thread(watch.began.wait, 20)
    goes = asyncio.create_task(backend.embed(request(["the " * 25] * 40)))
    comes = asyncio.create_task(backend.embed(request(["sun moon"])))
    await queued(backend, 3)
    goes.cancel()
    with pytest.raises(asyncio.CancelledError):
        await goes
    watch.go()
    await asyncio.gather(stays, comes)
    await backend.close()
    assert watch.batches == [[3], [4]]


async def test_reading_ends_where_the_client_has_gone(folder, monkeypatch):
    backend = TextEmbeddings([locate(str(folder))], Settings())
    await backend.load()
    call = asyncio.create_task(backend.count_tokens(CountTokensRequest(model="tiny", text="the cat " * 1_000_000)))
    await asyncio.sleep(0.05)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(call, 1)
    await backend.close()


async def test_model_that_is_not_loaded_does_not_answer(folder):
    backend = TextEmbeddings([locate(str(folder))])
    with pytest.raises(BackendUnavailableError, match="'tiny' is not loaded"):
        await backend.embed(request(["sun"]))
    await backend.close()


@pytest.mark.parametrize("converted", [False, True])
async def test_model_that_is_removed_stays_served(serve, folder, tmp_path, converted):
    if converted:
        made = tmp_path / "converted" / "tiny"
        save(Folder(locate(str(folder))), "int8", made)
        folder = made
    client = await serve(folder, precision="int8")
    before = await embed(client, TEXTS)
    shutil.rmtree(folder)
    np.testing.assert_array_equal(await embed(client, TEXTS), before)
