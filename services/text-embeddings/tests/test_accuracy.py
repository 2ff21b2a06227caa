# SPDX-License-Identifier: Apache-2.0
"""Vectors against a reference that is computed apart, for every architecture, pooling and precision."""

from pathlib import Path

import numpy as np
import pytest

import tiny
from cowabungaai_text_embeddings.architectures import FAMILIES
from reference import Reference
from support import cosines, embed

pytestmark = pytest.mark.anyio

TEXTS = [
    "the cat sits on the mat",
    "a dog runs fast on the street, a cat runs slow",
    "sun",
    "one two three one two three one two three one two three one two three one two three one two",
    "the red house and the blue house",
]
SENTENCES = [
    "How do I reset my password?",
    "The cat sits on the mat and looks out of the window.",
    "Quarterly revenue grew by 12 % while costs stayed flat, the company said on Tuesday.",
    "def add(a, b):\n    return a + b",
    "Photosynthesis turns light, water and carbon dioxide into sugar and oxygen.",
    "hi",
    "Der Zug nach Berlin fährt um acht Uhr.",
    "1234567890 !!! ???",
    "zebra quantum lamp overture nine gravel senate osmosis kettle brisk " * 12,
    "Deploy the package and check that the pods are ready. " * 20,
]
LEAST = {"float32": 0.9999, "int8": 0.99}


@pytest.fixture(scope="module")
def sentences(real: Path) -> np.ndarray:
    """The real model's vectors of SENTENCES."""
    reference = Reference(real)
    return np.array([reference.embed(text) for text in SENTENCES])


@pytest.mark.parametrize("precision", LEAST)
@pytest.mark.parametrize("family", sorted(FAMILIES))
async def test_every_architecture(serve, tmp_path, family, precision):
    folder = tiny.make(tmp_path / "tiny", family)
    found = await embed(await serve(folder, precision=precision), TEXTS)
    wanted = np.array([Reference(folder).embed(text) for text in TEXTS])
    assert cosines(found, wanted).min() >= LEAST[precision]
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)


async def test_every_architecture_by_every_engine(serve_any, tmp_path, engine):
    folders = [tiny.make(tmp_path / family, family) for family in sorted(FAMILIES)]
    client = await serve_any(*folders)
    for folder in folders:
        found = await embed(client, TEXTS, model=folder.name)
        wanted = np.array([Reference(folder).embed(text) for text in TEXTS])
        assert cosines(found, wanted).min() >= LEAST["float32"], folder.name


@pytest.mark.parametrize("pooling", [*((key,) for key in tiny.POOLINGS), tuple(tiny.POOLINGS)[1::-1]])
async def test_every_pooling(serve_any, tmp_path, pooling):
    folder = tiny.make(tmp_path / "tiny", pooling=pooling, normalize=False)
    found = await embed(await serve_any(folder), TEXTS)
    np.testing.assert_allclose(found, [Reference(folder).embed(text) for text in TEXTS], atol=2e-5)


@pytest.mark.parametrize(("given", "former"), [("max", ["max"]), (["lasttoken", "cls"], ["lasttoken", "cls"])])
async def test_newer_form_of_the_pooling(serve_any, tmp_path, given, former):
    folder = tiny.make(tmp_path / "tiny", normalize=False)
    by_name = dict(
        zip(("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"), tiny.POOLINGS, strict=True)
    )
    parts = []
    for name in former:
        tiny.write_json(folder / "1_Pooling/config.json", {by_name[name]: True})
        parts.append([Reference(folder).embed(text) for text in TEXTS])
    tiny.write_json(folder / "1_Pooling/config.json", {"embedding_dimension": tiny.WIDTH, "pooling_mode": given})
    found = await embed(await serve_any(folder), TEXTS)
    np.testing.assert_allclose(found, np.concatenate(parts, axis=1), atol=2e-5)


@pytest.mark.parametrize("activation", ["relu", "gelu_new"])
async def test_other_activations(serve_any, tmp_path, activation):
    folder = tiny.make(tmp_path / "tiny", hidden_act=activation)
    found = await embed(await serve_any(folder), TEXTS)
    np.testing.assert_allclose(found, [Reference(folder).embed(text) for text in TEXTS], atol=2e-5)


async def test_dense_layer(serve_any, tmp_path):
    folder = tiny.make(tmp_path / "tiny", dense=7)
    client = await serve_any(folder)
    found = await embed(client, TEXTS)
    np.testing.assert_allclose(found, [Reference(folder).embed(text) for text in TEXTS], atol=2e-5)
    assert [model.dimensions for model in await client.models()] == [7]


@pytest.mark.model
@pytest.mark.parametrize("precision", LEAST)
async def test_real_model(serve, real, sentences, precision):
    found = await embed(await serve(f"real={real}", precision=precision), SENTENCES, model="real")
    assert cosines(found, sentences).min() >= LEAST[precision]


@pytest.mark.model
async def test_real_model_by_every_engine(serve_any, real, sentences):
    found = await embed(await serve_any(f"real={real}"), SENTENCES, model="real")
    assert cosines(found, sentences).min() >= LEAST["float32"]


@pytest.mark.model
@pytest.mark.parametrize("precision", LEAST)
async def test_related_sentences_are_nearer_than_unrelated_ones(serve, real, precision):
    pairs = [
        ("A man plays the guitar.", "Someone is making music on a guitar."),
        ("The stock market fell sharply today.", "Share prices dropped a lot this day."),
        ("How do I bake bread?", "What is the way to make a loaf in the oven?"),
    ]
    client = await serve(f"real={real}", precision=precision)
    left, right = [await embed(client, list(texts), model="real") for texts in zip(*pairs, strict=True)]
    likeness = left @ right.T
    assert likeness.diagonal().min() > 0.5
    assert (likeness - 2 * np.eye(len(pairs))).max() < 0.3
