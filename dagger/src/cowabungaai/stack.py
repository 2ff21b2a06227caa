# SPDX-License-Identifier: Apache-2.0
"""The whole stack as services: the gateway, bound to the backends that answer its models."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

import dagger
from dagger import dag

from cowabungaai.catalog import ServiceSpec
from cowabungaai.errors import CatalogError
from cowabungaai.images import USER, build
from cowabungaai.models import models_of, with_models
from cowabungaai.sources import Project

CONFIG = "/etc/cowabungaai/models.yaml"
METRICS_PORT = 9464
KEY_FOLDER = "/key"
KEY_FILE = f"{KEY_FOLDER}/admin"


def gateway_of(project: Project) -> ServiceSpec:
    """The service that is the gateway.

    Raises:
        CatalogError: There is none.
    """
    found = next((spec for spec in project.catalog if spec.kind == "gateway"), None)
    if found is None:
        raise CatalogError("no service is of kind gateway")
    return found


def backend_of(project: Project, model: str) -> ServiceSpec:
    """The backend that serves the model of its own name.

    Args:
        project: Sources and catalog.
        model: The name.

    Raises:
        CatalogError: There is no such service, or it is no backend.
    """
    spec = project.catalog.get(model)
    if not spec.is_backend:
        backends = ", ".join(other.name for other in project.catalog if other.is_backend)
        raise CatalogError(f"service {model!r} is of kind {spec.kind} and serves no model; those that do: {backends}")
    return spec


@dataclass(frozen=True)
class Stack:
    """The gateway and its backends.

    Attributes:
        gateway: To be started as a service.
        backends: By name; their metrics are on METRICS_PORT.
    """

    gateway: dagger.Container
    backends: Mapping[str, dagger.Service]

    def as_service(self) -> dagger.Service:
        """The gateway, which starts its backends."""
        return self.gateway.as_service(use_entrypoint=True)


async def stack_with(
    project: Project,
    models: list[str],
    admin_key: dagger.Secret,
    brought: dagger.Directory | None = None,
) -> Stack:
    """The gateway with backends; each backend answers under its own name, and under the ids of its models.

    Its database lies in its container, and ends with it, unless it is given another.

    Args:
        project: Sources and catalog.
        models: Names of backends.
        admin_key: A key that may do everything, as `keys generate` of the gateway makes it.
        brought: A folder of models, for backends that serve any; else each serves its default model.

    Raises:
        CatalogError: A name is no backend.
    """
    specs = [backend_of(project, model) for model in models]
    container = (await build(project, gateway_of(project).name)).container
    routes = []
    backends = {}
    for spec in specs:
        mounted = await models_of(project, spec, brought)
        image = (await build(project, spec.name, spec.flavors[0])).container
        backend = with_models(image, spec, mounted).with_env_variable("COWABUNGAAI_METRICS_PORT", str(METRICS_PORT))
        backends[spec.name] = backend.as_service(use_entrypoint=True)
        container = container.with_service_binding(spec.name, backends[spec.name])
        routes += routes_to(spec, mounted.ids if mounted else [])
    # JSON is YAML, and quotes every name.
    gateway = (
        container.with_new_file(CONFIG, json.dumps({"models": routes}))
        .with_env_variable("COWABUNGAAI_API_CONFIG", CONFIG)
        # Nothing balances load in front of it that would have to notice its end.
        .with_env_variable("COWABUNGAAI_API_DRAIN_DELAY_SECONDS", "0")
        .with_secret_variable("COWABUNGAAI_API_ADMIN_KEY", admin_key)
    )
    return Stack(gateway, backends)


def routes_to(spec: ServiceSpec, model_ids: list[str]) -> list[dict[str, str]]:
    """The gateway's lines for a backend: its own name, which means its first model, and the ids of its models.

    Args:
        spec: The backend.
        model_ids: What it serves; empty for one that serves its own name.
    """
    address = f"{spec.name}:{spec.port}"
    default = {"backend_model": model_ids[0]} if model_ids else {}
    named = [{"name": model_id, "backend": address} for model_id in model_ids if model_id != spec.name]
    return [{"name": spec.name, "backend": address, **default}, *named]


async def new_admin_key(project: Project) -> dagger.Secret:
    """A key for one run, made by the gateway's own code."""
    spec = gateway_of(project)
    image = (await build(project, spec.name)).container
    # Not by its command, which prints the key: what a program prints is shown to whoever watches, redirected or not.
    making = f"from {spec.package}.auth import keys; print(keys.generate(), end='', file=open('{KEY_FILE}', 'w'))"
    run = (
        image.with_directory(KEY_FOLDER, dag.directory(), owner=USER)
        # Each run gets another key, not one out of the engine's cache.
        .with_env_variable("COWABUNGAAI_RUN", secrets.token_hex(8))
        .with_exec([spec.entrypoint[0], "-c", making])
    )
    # A name of its own: of two secrets of one name the second is what both hold.
    name = f"cowabungaai-admin-key-{secrets.token_hex(4)}"
    return dag.set_secret(name, await run.file(KEY_FILE).contents())
