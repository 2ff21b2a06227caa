# SPDX-License-Identifier: Apache-2.0
"""POST /cowabungaai/v1/tokens/count."""

import pytest

PATH = "/cowabungaai/v1/tokens/count"
HELLO = [{"role": "user", "content": "hello big world"}]


@pytest.mark.parametrize("asked", [{"text": "hello big world"}, {"messages": HELLO}])
def test_tokens_are_counted(http, asked):
    answer = http.post(PATH, json={"model": "repeater", **asked})
    assert answer.json() == {"object": "token_count", "model": "repeater", "count": 3}


@pytest.mark.parametrize("asked", [{}, {"text": "a", "messages": HELLO}])
def test_either_text_or_messages(http, asked):
    answer = http.post(PATH, json={"model": "repeater", **asked})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "text")


def test_it_is_no_endpoint_of_openais(http):
    assert http.post("/openai/v1/tokens/count", json={"model": "repeater", "text": "a"}).status_code == 404
