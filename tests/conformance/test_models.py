# SPDX-License-Identifier: Apache-2.0
"""models: the list, and one by its name."""

from __future__ import annotations

import time

import httpx2
import openai
import pytest

from conformance.conftest import MakeKey
from conformance.strict import client as strict_client
from conformance.target import OPENAI, OWN, Model, Target

pytestmark = pytest.mark.endpoint("models")


def test_the_list_has_the_model(client: openai.OpenAI, model: str) -> None:
    found = list(client.models.list())
    assert model in [entry.id for entry in found]
    assert all(entry.object == "model" for entry in found)
    assert all(0 < entry.created <= time.time() for entry in found)
    assert all(entry.owned_by for entry in found)


def test_no_model_is_listed_twice(client: openai.OpenAI) -> None:
    names = [entry.id for entry in client.models.list()]
    assert len(set(names)) == len(names)


def test_a_model_is_described_by_its_name_as_in_the_list(client: openai.OpenAI, model: str) -> None:
    listed = next(entry for entry in client.models.list() if entry.id == model)
    assert client.models.retrieve(model) == listed


def test_aliases_are_listed_and_described(client: openai.OpenAI, chosen: Model) -> None:
    if not chosen.aliases:
        pytest.skip(f"{chosen.id} has no alias")
    assert set(chosen.aliases) <= {entry.id for entry in client.models.list()}
    assert [client.models.retrieve(alias).id for alias in chosen.aliases] == chosen.aliases


def test_an_unknown_model_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("no-such-model")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    assert "no-such-model" in caught.value.message


def test_only_what_the_key_may_use_is_listed(target: Target, make_key: MakeKey, model: str) -> None:
    allowed = strict_client(target.base_url, make_key(models=[model])["value"])
    assert model in [entry.id for entry in allowed.models.list()]
    barred = strict_client(target.base_url, make_key(models=["none-of-them-*"])["value"])
    assert list(barred.models.list()) == []
    with pytest.raises(openai.NotFoundError):
        barred.models.retrieve(model)


@pytest.mark.parametrize("path", ["/models", "/models/{model}"])
def test_both_prefixes_answer_alike(http: httpx2.Client, model: str, path: str) -> None:
    first, second = (http.get(prefix + path.format(model=model)) for prefix in (OPENAI, OWN))
    assert first.status_code == second.status_code == 200
    assert first.json() == second.json()


def test_states_tell_what_the_model_can_do(http: httpx2.Client, model: str) -> None:
    answer = http.get(f"{OWN}/states/models")
    found = next(entry for entry in answer.json()["data"] if entry["id"] == model)
    assert found["object"] == "model_state"
    assert found["state"] == "ready"
    assert found["capabilities"]


def test_states_of_backends_are_for_admins(http: httpx2.Client, target: Target, make_key: MakeKey, model: str) -> None:
    backends = http.get(f"{OWN}/states/backends").json()["data"]
    serving = next(backend for backend in backends if model in backend["models"])
    assert serving["ready"] is True
    assert all(replica["address"] for replica in serving["replicas"])
    with target.http(make_key()["value"]) as other:
        assert other.get(f"{OWN}/states/backends").status_code == 403
