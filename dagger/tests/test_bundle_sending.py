# SPDX-License-Identifier: Apache-2.0
"""How often a registry is asked to take a bundle."""

from __future__ import annotations

from functools import partial

import anyio
import dagger
import pytest
from test_here import ended

from cowabungaai.bundles import ATTEMPTS, persistently


class Sending:
    """Fails so often, and then prints something."""

    def __init__(self, failures: int, said: str) -> None:
        self.failures, self.said, self.attempts = failures, said, list[int]()

    async def __call__(self, attempt: int) -> str:
        self.attempts.append(attempt)
        if attempt <= self.failures:
            raise ended(f"{self.said}, at attempt {attempt}")
        return "sha256:1"


@pytest.mark.parametrize(
    ("failures", "said"),
    [(0, ""), (2, "unexpected EOF"), (ATTEMPTS - 1, "read tcp 127.0.0.1:40312: connection reset by peer")],
)
def test_what_passes_is_waited_for(failures: int, said: str) -> None:
    sending = Sending(failures, said)
    assert anyio.run(partial(persistently, first_wait=0.001), sending) == "sha256:1"
    assert sending.attempts == list(range(1, failures + 2))


@pytest.mark.parametrize(
    ("said", "attempts"),
    [
        ("503 Service Unavailable", ATTEMPTS),
        ("unexpected EOF: 403 MB of 512 MB sent", ATTEMPTS),
        ("layer 401 of 500: connection reset by peer", ATTEMPTS),
        ("UNAUTHORIZED: authentication required; [map[Type:repository]]", 1),
        ("unexpected status from GET request to https://registry.example/token: 403 Forbidden", 1),
        ("response status code 403: denied: you may not write here", 1),
        ("unauthorized: authentication required", 1),
    ],
)
def test_what_does_not_pass_is_told_as_it_was_at_last(said: str, attempts: int) -> None:
    sending = Sending(99, said)
    with pytest.raises(dagger.ExecError) as told:
        anyio.run(partial(persistently, first_wait=0.001), sending)
    assert told.value.stderr == f"{said}, at attempt {attempts}"
    assert sending.attempts == list(range(1, attempts + 1))
