# SPDX-License-Identifier: Apache-2.0
"""Bodies of the endpoints that tell how models and backends are."""

from typing import Literal

from pydantic import BaseModel


class ModelState(BaseModel):
    """How a model is.

    Args:
        id: its name.
        aliases: its other names.
        state: `ready`; `loading` while its backend loads it; `unavailable` where no replica answers.
        backend: what serves it.
        fallbacks: models that answer while it cannot.
        capabilities: what it can be asked for, where its backend says so.
        context_length: the most tokens of prompt and answer together.
        dimensions: of embeddings.
    """

    object: Literal["model_state"] = "model_state"
    id: str
    aliases: list[str]
    state: Literal["ready", "loading", "unavailable"]
    backend: str
    fallbacks: list[str]
    capabilities: list[str]
    context_length: int | None
    dimensions: int | None


class ModelStates(BaseModel):
    """All models that the caller may use."""

    object: Literal["list"] = "list"
    data: list[ModelState]


class ReplicaState(BaseModel):
    """How a replica is.

    Args:
        address: its URL.
        state: see the metric replica_state.
        outstanding: requests that it has now.
        answered: requests answered since it is known.
        failed: attempts that failed.
    """

    address: str
    state: Literal["ready", "unknown", "unhealthy", "ejected", "leaving"]
    outstanding: int
    answered: int
    failed: int


class BackendState(BaseModel):
    """How a backend is.

    Args:
        id: its name.
        ready: whether a replica answers.
        waiting: requests in its queue.
        models: the models that it serves.
        replicas: its replicas.
    """

    object: Literal["backend_state"] = "backend_state"
    id: str
    ready: bool
    waiting: int
    models: list[str]
    replicas: list[ReplicaState]


class BackendStates(BaseModel):
    """All backends."""

    object: Literal["list"] = "list"
    data: list[BackendState]
