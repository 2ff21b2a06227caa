# SPDX-License-Identifier: Apache-2.0
"""The stack under test, as its environment describes it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass

import httpx2

OWN = "/cowabungaai/v1"
OPENAI = "/openai/v1"
READY_SECONDS = 60
BELIEVED_SECONDS = 30
"""How long a replica believes what it knows of a key: `auth.cache_seconds` of the gateway, by default."""

COUNTED_SECONDS = 5
"""How often a replica writes what it counted, and reads what others did."""


@dataclass(frozen=True)
class Stack:
    """Replicas of the gateway that share a database.

    Attributes:
        gateways: URLs of the replicas.
        model: That they serve.
    """

    gateways: tuple[str, ...]
    model: str

    def http(self, replica: int, key: str) -> httpx2.Client:
        """A client of a replica.

        Args:
            replica: Its number, from 0.
            key: API key that it sends.
        """
        headers = {"authorization": f"Bearer {key}"}
        return httpx2.Client(base_url=self.gateways[replica], headers=headers, timeout=60)

    def wait_until_ready(self) -> None:
        """Wait until every replica serves the model.

        Raises:
            TimeoutError: One does not.
        """
        deadline = time.monotonic() + READY_SECONDS
        for gateway in self.gateways:
            while (answer := httpx2.get(f"{gateway}/readyz", timeout=10)).status_code != 200:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{gateway} is not ready after {READY_SECONDS} s: {answer.text}")
                time.sleep(0.2)


def from_environment() -> Stack:
    """The stack that the environment names.

    Raises:
        KeyError: It names none.
    """
    return Stack(tuple(os.environ["COWABUNGAAI_GATEWAYS"].split()), os.environ["COWABUNGAAI_MODEL"])


def ask(client: httpx2.Client, model: str) -> httpx2.Response:
    """One short chat."""
    body = {"model": model, "messages": [{"role": "user", "content": "to be or not to be"}]}
    return client.post(f"{OPENAI}/chat/completions", json=body)


def db(*arguments: str) -> str:
    """Run a `db` command of the gateway; what it prints.

    Raises:
        AssertionError: It failed.
    """
    command = [sys.executable, "-m", "cowabungaai_api", "db", *arguments]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout.strip()
