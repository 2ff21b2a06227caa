# SPDX-License-Identifier: Apache-2.0
"""What the clients of each scenario ask, and when an answer counts as right."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from locust import FastHttpUser, HttpUser, task

from load.limits import Scenario

OPENAI = "/openai/v1"
TEXT = "to be or not to be, that is the question of many clients at once"
WORDS = 16
FIRST_TOKEN = "first token"  # noqa: S105 - what locust calls these figures
TIMEOUT_SECONDS = 120.0


class User(FastHttpUser):
    """A client that asks again as soon as it has its answer."""

    abstract = True
    connection_timeout = TIMEOUT_SECONDS
    network_timeout = TIMEOUT_SECONDS
    model = ""

    def on_start(self) -> None:
        """Say who asks."""
        self.client.auth_header = f"Bearer {os.environ['COWABUNGAAI_API_KEY']}"


class ChatUser(User):
    """Asks for whole answers."""

    @task
    def ask(self) -> None:
        """One chat."""
        with self.client.post(
            f"{OPENAI}/chat/completions", json=chat(self.model), catch_response=True, name="chat"
        ) as answer:
            problem = wrong_chat(answer.status_code, answer.text)
            if problem:
                answer.failure(problem)


class ChatStreamUser(HttpUser):
    """Asks for streams, and notes when the first piece came; the faster client would wait for more than a piece."""

    model = ""

    def on_start(self) -> None:
        """Say who asks."""
        self.client.headers["authorization"] = f"Bearer {os.environ['COWABUNGAAI_API_KEY']}"

    @task
    def ask(self) -> None:
        """One streamed chat."""
        begun = time.perf_counter()
        with self.client.post(
            f"{OPENAI}/chat/completions",
            json={**chat(self.model), "stream": True},
            catch_response=True,
            stream=True,
            name="chat-stream",
            timeout=TIMEOUT_SECONDS,
        ) as answer:
            if answer.status_code != 200:
                answer.failure(f"status {answer.status_code}: {answer.text[:200]}")
                return
            last = b""
            for line in answer.iter_lines():
                if line and not last:
                    self.environment.events.request.fire(
                        request_type="SSE",
                        name=FIRST_TOKEN,
                        response_time=(time.perf_counter() - begun) * 1000,
                        response_length=0,
                        exception=None,
                    )
                last = line or last
            # Until here locust has timed the head alone.
            answer.request_meta["response_time"] = (time.perf_counter() - begun) * 1000
            if last != b"data: [DONE]":
                answer.failure(f"the stream ended with {last[:100]!r}, expected 'data: [DONE]'")


class EmbeddingsUser(User):
    """Asks for the embedding of a text."""

    @task
    def ask(self) -> None:
        """One embedding."""
        body = {"model": self.model, "input": TEXT}
        with self.client.post(f"{OPENAI}/embeddings", json=body, catch_response=True, name="embeddings") as answer:
            problem = wrong_embedding(answer.status_code, answer.text)
            if problem:
                answer.failure(problem)


USERS: dict[Scenario, type[User] | type[ChatStreamUser]] = {
    "chat": ChatUser,
    "chat-stream": ChatStreamUser,
    "embeddings": EmbeddingsUser,
}
# As `states/models` of the gateway names it.
CAPABILITIES: dict[Scenario, str] = {"chat": "chat", "chat-stream": "chat", "embeddings": "embedding"}


def chat(model: str) -> dict[str, Any]:
    """What a chat asks for."""
    return {"model": model, "messages": [{"role": "user", "content": TEXT}], "max_completion_tokens": WORDS}


def wrong_chat(status: int, text: str | None) -> str:
    """What is wrong with a chat's answer; empty where nothing is."""
    if status != 200:
        return f"status {status}: {(text or '')[:200]}"
    answer = json.loads(text or "")
    usage = answer["usage"]
    if usage["total_tokens"] != usage["prompt_tokens"] + usage["completion_tokens"] or len(answer["choices"]) != 1:
        return f"expected one choice and tokens that add up, got {text}"
    return ""


def wrong_embedding(status: int, text: str | None) -> str:
    """What is wrong with an embedding's answer; empty where nothing is."""
    if status != 200:
        return f"status {status}: {(text or '')[:200]}"
    data = json.loads(text or "")["data"]
    return "" if len(data) == 1 and data[0]["embedding"] else "expected one embedding that is not empty"
