# SPDX-License-Identifier: Apache-2.0
"""What the suite is run against: from the environment, or started from the sources."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field

import httpx2
from pydantic import BaseModel, ConfigDict

OPENAI = "/openai/v1"
OWN = "/cowabungaai/v1"
REPEATER = "repeater"
READY_S = 60
"""How long a model may take until it is ready, in seconds: backends start beside the gateway."""


class TargetError(Exception):
    """The suite cannot be run against what the environment names."""


@dataclass(frozen=True)
class Target:
    """A gateway.

    Args:
        root: its URL, without the prefix of an API.
        key: a key with the scope admin.
    """

    root: str
    key: str = field(repr=False)

    @property
    def base_url(self) -> str:
        """What the official client wants."""
        return self.root + OPENAI

    def http(self, key: str | None = None) -> httpx2.Client:
        """A plain client, for what the official one would not send.

        Args:
            key: another key than the admin's; an empty one sends none.
        """
        used = self.key if key is None else key
        headers = {"authorization": f"Bearer {used}"} if used else {}
        return httpx2.Client(base_url=self.root, headers=headers, timeout=60)


class Model(BaseModel):
    """A model of the target, as `states/models` describes it; `exact` where it echoes as the repeater does."""

    model_config = ConfigDict(frozen=True)

    id: str
    aliases: list[str]
    state: str
    capabilities: list[str]
    dimensions: int | None
    context_length: int | None
    exact: bool = False


def from_environment() -> Target | None:
    """The gateway that the environment names; None where it names none.

    Raises:
        TargetError: the URL has another form, or there is no key.
    """
    url = os.environ.get("COWABUNGAAI_BASE_URL", "").rstrip("/")
    if not url:
        return None
    if not url.startswith(("http://", "https://")) or not url.endswith(OPENAI):
        raise TargetError(f"COWABUNGAAI_BASE_URL is {url!r}; expected http[s]://HOST[:PORT]{OPENAI}")
    key = os.environ.get("COWABUNGAAI_API_KEY", "")
    if not key:
        raise TargetError("COWABUNGAAI_API_KEY is not set; expected a key of the gateway with the scope admin")
    return Target(url.removesuffix(OPENAI), key)


def choose_model(target: Target) -> Model:
    """The model that COWABUNGAAI_MODEL names, else the first that the gateway lists.

    COWABUNGAAI_EXACT (0 or 1) says whether it echoes as the repeater does; by default the one of that name does.

    Args:
        target: the gateway.

    Raises:
        TargetError: the gateway does not answer, or has no such model, or the model is not ready.
    """
    deadline = time.monotonic() + READY_S
    while True:
        models = _models(target)
        name = os.environ.get("COWABUNGAAI_MODEL") or models[0].id
        found = next((model for model in models if model.id == name), None)
        if found is None:
            known = ", ".join(model.id for model in models)
            raise TargetError(f"COWABUNGAAI_MODEL is {name!r}; expected one of {known}")
        if found.state == "ready":
            break
        if time.monotonic() > deadline:
            raise TargetError(f"model {name!r} is {found.state} after {READY_S} s; expected it to be ready")
        time.sleep(0.2)
    exact = os.environ.get("COWABUNGAAI_EXACT", "1" if name == REPEATER else "0")
    if exact not in ("0", "1"):
        raise TargetError(f"COWABUNGAAI_EXACT is {exact!r}; expected 0 or 1")
    return found.model_copy(update={"exact": exact == "1"})


def _models(target: Target) -> list[Model]:
    try:
        with target.http() as http:
            answer = http.get(f"{OWN}/states/models")
    except httpx2.TransportError as error:
        raise TargetError(f"no gateway answers at {target.root}: {error}") from error
    if answer.status_code != 200:
        raise TargetError(f"{target.root}{OWN}/states/models answers {answer.status_code}: {answer.text[:300]}")
    return [Model.model_validate(entry) for entry in answer.json()["data"]]
