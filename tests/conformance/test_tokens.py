# SPDX-License-Identifier: Apache-2.0
"""tokens/count, an endpoint of our own."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from conformance.ask import MESSAGES, WEATHER
from conformance.target import OPENAI, OWN

pytestmark = [pytest.mark.endpoint("tokens/count"), pytest.mark.needs("token_count")]


def count(http: httpx2.Client, model: str, **body: Any) -> int:
    """Asks, and checks what every answer has."""
    answer = http.post(f"{OWN}/tokens/count", json={"model": model, **body})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert set(found) == {"object", "model", "count"}
    assert (found["object"], found["model"]) == ("token_count", model)
    assert isinstance(found["count"], int)
    return int(found["count"])


def test_a_text_is_counted(http: httpx2.Client, model: str) -> None:
    assert count(http, model, text="one two three " * 10) > count(http, model, text="one two three") > 0


@pytest.mark.needs("chat")
def test_a_conversation_is_counted_with_its_tools(http: httpx2.Client, model: str) -> None:
    assert count(http, model, messages=MESSAGES, tools=[WEATHER]) > count(http, model, messages=MESSAGES) > 0


def test_both_inputs_at_once_are_refused(http: httpx2.Client, model: str) -> None:
    answer = http.post(f"{OWN}/tokens/count", json={"model": model, "text": "x", "messages": MESSAGES})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "text"


def test_it_is_no_endpoint_of_openais(http: httpx2.Client, model: str) -> None:
    assert http.post(f"{OPENAI}/tokens/count", json={"model": model, "text": "x"}).status_code == 404


@pytest.mark.exact
def test_the_count_is_what_chat_bills(http: httpx2.Client, model: str) -> None:
    answer = http.post(f"{OPENAI}/chat/completions", json={"model": model, "messages": MESSAGES, "tools": [WEATHER]})
    counted = count(http, model, messages=MESSAGES, tools=[WEATHER])
    assert counted == answer.json()["usage"]["prompt_tokens"]
