"""The whole stack as services: the gateway, bound to the backends that answer its models."""

from __future__ import annotations

import json

import dagger

from cowabungaai.catalog import Catalog
from cowabungaai.errors import CatalogError
from cowabungaai.images import build

CONFIG = "/etc/cowabungaai/models.yaml"
NOT_BACKENDS = ("sdk", "gateway", "health")


async def gateway_with(source: dagger.Directory, catalog: Catalog, models: list[str]) -> dagger.Service:
    """The gateway as a service; each model is served by the service of the same name.

    Args:
        source: The root of the repository.
        catalog: All services.
        models: Names of backends.

    Raises:
        CatalogError: A name is no backend.
    """
    gateway = next((spec.name for spec in catalog if spec.kind == "gateway"), None)
    if gateway is None:
        raise CatalogError("no service is of kind gateway")
    container = (await build(source, catalog, gateway)).container
    routes = []
    for model in models:
        spec = catalog.get(model)
        if spec.kind in NOT_BACKENDS:
            raise CatalogError(f"service {model!r} is of kind {spec.kind} and serves no model")
        backend = (await build(source, catalog, model)).container.as_service(use_entrypoint=True)
        container = container.with_service_binding(model, backend)
        routes.append({"name": model, "backend": f"{model}:{spec.port}"})
    # JSON is YAML, and quotes every name.
    return (
        container.with_new_file(CONFIG, json.dumps({"models": routes}))
        .with_env_variable("COWABUNGAAI_API_CONFIG", CONFIG)
        .as_service(use_entrypoint=True)
    )
