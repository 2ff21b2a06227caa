# SPDX-License-Identifier: Apache-2.0
"""Clients of both replicas."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx2
import pytest
from stack import OWN, Stack, from_environment

MakeKey = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def stack() -> Stack:
    """The stack, once all of it answers."""
    found = from_environment()
    found.wait_until_ready()
    return found


@pytest.fixture
def admins(stack: Stack) -> Iterator[list[httpx2.Client]]:
    """A client with the admin key for each replica."""
    with ExitStack() as opened:
        key = os.environ["COWABUNGAAI_API_KEY"]
        yield [opened.enter_context(stack.http(number, key)) for number in range(len(stack.gateways))]


@pytest.fixture
def make_key(admins: list[httpx2.Client]) -> MakeKey:
    """Makes API keys at the first replica."""

    def make(**fields: Any) -> dict[str, Any]:
        answer = admins[0].post(f"{OWN}/auth/api-keys", json={"name": "e2e", **fields})
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    return make
