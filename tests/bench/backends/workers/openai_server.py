# SPDX-License-Identifier: Apache-2.0
"""Asks a server that speaks OpenAI's completions, streamed: `python -m bench.backends.workers.openai_server PORT`.

Needs nothing but Python's standard library.
"""

from __future__ import annotations

import http.client
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bench.backends.workers.loop import serve

TIMEOUT_S = 600


class Asker:
    """Scenarios for one server.

    Args:
        port: of the loopback.
    """

    def __init__(self, port: int) -> None:
        self._port = port

    def complete(self, prompts: list[str], tokens: int) -> float:
        """Tokens a second, a client for each prompt, all at once; every event of the stream is a token."""
        body = {"temperature": 0, "max_tokens": tokens, "min_tokens": tokens, "stream": True}
        begun = time.perf_counter()
        with ThreadPoolExecutor(len(prompts)) as threads:
            counts = list(threads.map(lambda prompt: self._events({**body, "prompt": prompt}), prompts))
        seconds = time.perf_counter() - begun
        # The last event has the reason, and may have no token.
        assert all(tokens <= count <= tokens + 1 for count in counts), f"{counts} events for {tokens} tokens"
        return len(prompts) * tokens / seconds

    def read(self, prompt: str) -> float:
        """Tokens of a prompt that were read a second, up to the first one written."""
        begun = time.perf_counter()
        with self._post({"temperature": 0, "max_tokens": 1, "prompt": prompt}) as answer:
            usage = json.load(answer)["usage"]
        return float(usage["prompt_tokens"]) / (time.perf_counter() - begun)

    def _events(self, body: dict[str, Any]) -> int:
        with self._post(body) as answer:
            return sum(line.startswith(b"data: {") for line in answer)

    def _post(self, body: dict[str, Any]) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_S)
        headers = {"content-type": "application/json"}
        connection.request("POST", "/v1/completions", json.dumps({"model": "any", **body}), headers)
        answer = connection.getresponse()
        if answer.status != 200:
            raise RuntimeError(f"the server answers {answer.status}: {answer.read(500)!r}")
        return answer


if __name__ == "__main__":
    asker = Asker(int(sys.argv[1]))
    serve({"complete": asker.complete, "read": asker.read})
