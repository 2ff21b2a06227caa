# SPDX-License-Identifier: Apache-2.0
"""The command line and requests' parameters, without a model."""

from types import SimpleNamespace

import pytest

from cowabungaai_llama_cpp import request
from cowabungaai_llama_cpp.__main__ import add_arguments, make_backend
from cowabungaai_llama_cpp.sampler import SamplingOptions
from cowabungaai_sdk.errors import InvalidRequestError
from cowabungaai_sdk.v1.common_pb2 import Sampling

VOCABULARY = SimpleNamespace(vocab_size=100, longest_token=4)
LIMITS = request.Limits(VOCABULARY, 50)


def test_unset_parameters_are_openais_defaults():
    assert request.options(Sampling(), VOCABULARY) == SamplingOptions()
    assert (SamplingOptions().temperature, SamplingOptions().top_p) == (1.0, 1.0)


def test_zeros_that_are_set_are_zeros():
    found = request.options(Sampling(temperature=0, top_p=0, top_k=0, min_p=0), VOCABULARY)
    assert (found.temperature, found.top_p) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("prompt", "sampling", "expected"),
    [(20, Sampling(), 30), (20, Sampling(max_tokens=5), 5), (50, Sampling(max_tokens=0), 0), (49, Sampling(), 1)],
)
def test_room(prompt, sampling, expected):
    assert request.room(LIMITS, prompt, sampling, "messages") == expected


@pytest.mark.parametrize(
    ("prompt", "sampling", "code"),
    [
        (50, Sampling(), "context_length_exceeded"),
        (20, Sampling(max_tokens=31), "context_length_exceeded"),
        (20, Sampling(min_tokens=31), None),
    ],
)
def test_no_room(prompt, sampling, code):
    with pytest.raises(InvalidRequestError) as raised:
        request.room(LIMITS, prompt, sampling, "messages")
    assert raised.value.code_name == code


def test_text_that_cannot_fit_is_not_looked_at():
    request.check_text(LIMITS, "x" * 200, "text")
    with pytest.raises(InvalidRequestError, match="text has 201 characters"):
        request.check_text(LIMITS, "x" * 201, "text")


def test_seeds_are_the_same_for_the_same_seed_and_differ_between_choices():
    assert request.seeds(Sampling(seed=7), 5) == request.seeds(Sampling(seed=7), 5)
    assert len(set(request.seeds(Sampling(seed=-1), 128))) == 128
    assert all(0 <= seed < 2**32 - 1 for seed in request.seeds(Sampling(seed=2**62), 3))
    assert request.seeds(Sampling(), 1) != request.seeds(Sampling(), 1)


@pytest.mark.parametrize("stop", [["x"] * 65, ["x" * 1025]])
def test_stops_are_bounded(stop):
    with pytest.raises(InvalidRequestError):
        request.stops(Sampling(stop=stop))


def test_settings_reach_the_backend(tmp_path, monkeypatch):
    import argparse

    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    monkeypatch.setenv("COWABUNGAAI_PARALLEL", "3")
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    one = parser.parse_args(["--model", str(tmp_path / "m.gguf"), "--threads", "1"])
    backend = make_backend(one)
    assert (backend.max_concurrency, [model.id for model in backend.models()]) == (3, ["m"])
    two = parser.parse_args(["--model", str(tmp_path / "m.gguf"), "--threads", "1", "--cache-type-k", "q8_0"])
    assert make_backend(two).system_fingerprint != backend.system_fingerprint
