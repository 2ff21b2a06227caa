# SPDX-License-Identifier: Apache-2.0
"""What replicas of the gateway share by their database."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import httpx2
import openai
from stack import BELIEVED_SECONDS, COUNTED_SECONDS, OPENAI, OWN, Stack, ask

MakeKey = Callable[..., dict[str, Any]]


def test_the_stack_answers_the_official_client(stack: Stack) -> None:
    for gateway in stack.gateways:
        with openai.OpenAI(base_url=f"{gateway}{OPENAI}", api_key=os.environ["COWABUNGAAI_API_KEY"]) as client:
            chunks = client.chat.completions.create(
                model=stack.model, messages=[{"role": "user", "content": "one two three"}], stream=True
            )
            text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
            assert text == "one two three"


def test_a_key_that_one_replica_made_is_good_at_the_other(stack: Stack, make_key: MakeKey) -> None:
    made = make_key(name="for both")
    for replica in range(len(stack.gateways)):
        with stack.http(replica, made["value"]) as client:
            assert ask(client, stack.model).status_code == 200
            assert client.get(f"{OWN}/auth/me").json()["id"] == made["id"]


def test_a_quota_holds_for_both_replicas_together(stack: Stack, make_key: MakeKey) -> None:
    # Once may fail where the tables have just been made anew.
    written = 2 * COUNTED_SECONDS + 1
    made = make_key(name="few", limits={"requests_per_day": 6})
    with stack.http(0, made["value"]) as one, stack.http(1, made["value"]) as other:
        assert [ask(one, stack.model).status_code for _ in range(4)] == [200] * 4
        time.sleep(written)
        assert [ask(other, stack.model).status_code for _ in range(3)] == [200, 200, 429]
        time.sleep(written)
        # A replica that was idle learns what others counted with what it writes next, so it lets one more pass.
        assert ask(one, stack.model).status_code in (200, 429)
        time.sleep(written)
        refused = ask(one, stack.model)
    assert refused.status_code == 429
    assert refused.json()["error"]["code"] == "insufficient_quota"


def test_a_revoked_key_ends_everywhere(stack: Stack, admins: list[httpx2.Client], make_key: MakeKey) -> None:
    made = make_key(name="to be revoked")
    with stack.http(0, made["value"]) as one, stack.http(1, made["value"]) as other:
        assert [ask(client, stack.model).status_code for client in (one, other)] == [200, 200]
        assert admins[0].delete(f"{OWN}/auth/api-keys/{made['id']}").status_code == 200
        assert ask(one, stack.model).status_code == 401
        deadline = time.monotonic() + BELIEVED_SECONDS + 10
        while ask(other, stack.model).status_code != 401:
            assert time.monotonic() < deadline, "the other replica still believes a revoked key"
            time.sleep(1)


def test_a_thousand_keys_are_listed_page_by_page(admins: list[httpx2.Client], make_key: MakeKey) -> None:
    made = {make_key(name=f"number {number}")["id"] for number in range(1000)}
    listed: list[str] = []
    query: dict[str, Any] = {"limit": 100}
    while True:
        page = admins[1].get(f"{OWN}/auth/api-keys", params=query).json()
        listed += [entry["id"] for entry in page["data"]]
        if not page["has_more"]:
            break
        query["after"] = page["last_id"]
    assert len(listed) == len(set(listed))
    assert made <= set(listed)
