# SPDX-License-Identifier: Apache-2.0
"""Texts as tokens: the beginning of a long text is read as if all of it were."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, processors

import tiny
from cowabungaai_sdk.blocking import CancelToken
from cowabungaai_sdk.models import LocalModel
from cowabungaai_text_embeddings import tokens
from cowabungaai_text_embeddings.folder import Folder
from cowabungaai_text_embeddings.tokens import Reader
from reference import Reference
from support import request

PIECES = st.one_of(
    st.sampled_from([*tiny.WORDS, " ", "  ", "\n", "\t", ",", ".", "[SEP]", "é", "中", "😀", "x" * 99, "x" * 120]),
    st.text(max_size=20),
)
TEXTS = st.lists(PIECES, max_size=400).map("".join)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Reader, Reference]:
    """Reader and reference of a small model."""
    folder = tiny.make(tmp_path_factory.mktemp("tokens") / "tiny")
    return Reader(Folder(LocalModel("tiny", folder)), 32, ""), Reference(folder)


@settings(max_examples=200, deadline=None)
@given(text=TEXTS)
def test_what_is_cut_is_the_beginning_of_all_tokens(small, text):
    reader, reference = small
    first, *ids, last = reference.ids(text)
    (found,) = reader.read(CancelToken(), request([text]).inputs, True)
    assert found.tolist() == [first, *ids[:30], last]


@settings(max_examples=50, deadline=None)
@given(texts=st.lists(TEXTS.filter(bool), max_size=200))
def test_inputs_keep_their_order(small, texts):
    reader, _ = small
    found = reader.read(CancelToken(), request(texts).inputs, True)
    assert [one.tolist() for one in found] == [
        reader.read(CancelToken(), request([text]).inputs, True)[0].tolist() for text in texts
    ]


CLS, SEP, WORD, OTHER = 3, 4, 5, 6


@pytest.mark.parametrize(
    ("template", "given", "wanted"),
    [
        ("[CLS] $A [SEP]", [WORD, OTHER], [CLS, WORD, OTHER, SEP]),
        ("[CLS] $A [SEP]", [CLS, WORD, SEP], [CLS, WORD, SEP]),
        ("[CLS] $A [SEP]", [CLS, WORD], [CLS, WORD, SEP]),
        ("[CLS] $A [SEP]", [WORD, SEP], [CLS, WORD, SEP]),
        ("[CLS] $A [SEP]", [CLS, SEP], [CLS, SEP]),
        ("[CLS] $A [SEP]", [CLS], [CLS, SEP]),
        ("[CLS] $A [SEP]", [SEP], [CLS, SEP]),
        ("[CLS] $A [SEP]", [CLS, CLS, WORD, SEP, SEP], [CLS, CLS, WORD, SEP, SEP]),
        ("$A [SEP]", [WORD], [WORD, SEP]),
        ("$A [SEP]", [WORD, SEP], [WORD, SEP]),
        ("$A [SEP]", [SEP], [SEP]),
        ("$A [SEP] [SEP]", [SEP], [SEP, SEP, SEP]),
        ("$A [SEP] [SEP]", [WORD, SEP, SEP], [WORD, SEP, SEP]),
        ("[CLS] $A", [CLS, WORD], [CLS, WORD]),
        ("[CLS] $A", [WORD, CLS], [CLS, WORD, CLS]),
        ("[CLS] $A", [CLS], [CLS]),
    ],
)
def test_special_tokens_that_are_there_stay_as_they_are(folder, template, given, wanted):
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    special = [("[CLS]", CLS), ("[SEP]", SEP)]
    tokenizer.post_processor = processors.TemplateProcessing(template, special_tokens=special)
    tokenizer.save(str(folder / "tokenizer.json"))
    reader = Reader(Folder(LocalModel("tiny", folder)), 32, "")
    (found,) = reader.read(CancelToken(), request([given]).inputs, False)
    assert found.tolist() == wanted


def test_tokens_of_a_long_text_are_counted_in_parts(small, monkeypatch):
    reader, reference = small
    text = "the cat sits on the mat, " * 1000
    monkeypatch.setattr(tokens, "CHUNK_CHARACTERS", 1000)
    assert reader.count(CancelToken(), text) == len(reference.ids(text))


def test_nothing_more_is_read_once_the_caller_has_gone(small):
    reader, _ = small
    gone = CancelToken()
    gone.cancel()
    assert reader.read(gone, request(["sun"] * 3).inputs, True) == []
    assert reader.count(gone, "sun " * 100) == 2


@pytest.mark.model
def test_real_tokenizer_reads_the_beginning_alike(real):
    reader, reference = Reader(Folder(LocalModel("m", real)), 256, ""), Reference(real)
    for words in ("internationalization, ", "supercalifragilistic", "Der Zug fährt. ", "中文", "a-b_c/d\n", "x" * 101):
        text = words * 2000
        first, *ids, last = reference.ids(text)
        (found,) = reader.read(CancelToken(), request([text]).inputs, True)
        assert found.tolist() == [first, *ids[:254], last]
