"""The whole stack as services: the gateway, bound to the backends that answer its models."""

from __future__ import annotations

import json

import dagger

from cowabungaai.errors import CatalogError
from cowabungaai.images import build
from cowabungaai.sources import Project

CONFIG = "/etc/cowabungaai/models.yaml"
NOT_BACKENDS = ("sdk", "gateway", "health")


async def gateway_with(project: Project, models: list[str]) -> dagger.Service:
    """The gateway as a service; each model is served by the service of the same name.

    Args:
        project: Sources and catalog.
        models: Names of backends.

    Raises:
        CatalogError: A name is no backend.
    """
    gateway = next((spec.name for spec in project.catalog if spec.kind == "gateway"), None)
    if gateway is None:
        raise CatalogError("no service is of kind gateway")
    container = (await build(project, gateway)).container
    routes = []
    for model in models:
        spec = project.catalog.get(model)
        if spec.kind in NOT_BACKENDS:
            raise CatalogError(f"service {model!r} is of kind {spec.kind} and serves no model")
        backend = (await build(project, model)).container.as_service(use_entrypoint=True)
        container = container.with_service_binding(model, backend)
        routes.append({"name": model, "backend": f"{model}:{spec.port}"})
    # JSON is YAML, and quotes every name.
    return (
        container.with_new_file(CONFIG, json.dumps({"models": routes}))
        .with_env_variable("COWABUNGAAI_API_CONFIG", CONFIG)
        .as_service(use_entrypoint=True)
    )
