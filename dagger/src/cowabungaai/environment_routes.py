# SPDX-License-Identifier: Apache-2.0
"""What the gateway of an environment is told of the services that are built beside it. Needs no engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cowabungaai.bundle_definition import routes_to
from cowabungaai.catalog import Catalog, ServiceSpec
from cowabungaai.environments import FILE, Environment
from cowabungaai.report import BuildReport, LeftOut


@dataclass(frozen=True)
class Routes:
    """What the gateway is told.

    Attributes:
        values: Of its chart: `models` and `backends`; none where no backend was built that it can be told of.
        left_out: Services that it is not told of, and why; none where the environment names its models, or where no
            gateway was built.
    """

    values: dict[str, Any]
    left_out: list[LeftOut]


def routes_in(
    environment: Environment,
    report: BuildReport,
    catalog: Catalog,
    charts: Mapping[str, Mapping[str, Any] | None],
) -> Routes:
    """The gateway's models and backends, of the services that were built.

    Args:
        environment: Where it is deployed; a model whose id it names takes the place of the service's default one.
        report: What was built.
        catalog: All services.
        charts: By service, the values of its chart; None where it has none.
    """
    built = [catalog.get(row.service) for row in report.services]
    gateway = next((spec.name for spec in built if spec.kind == "gateway"), "")
    if not gateway:
        return Routes({}, [])
    left_out = [
        LeftOut(service=row.service, reason=row.reason)
        for row in report.left_out
        if catalog.get(row.service).is_backend
    ]
    served = []
    for spec in (one for one in built if one.is_backend):
        chart = charts.get(spec.name) or {}
        model = _named(environment, spec.name) or (spec.model.id if spec.model else "")
        if reason := _unserved(spec, chart, model):
            left_out.append(LeftOut(service=spec.name, reason=reason))
        else:
            served.append((spec, model))
    models, addresses = routes_to(served)
    if not models:
        left_out.append(LeftOut(service=gateway, reason="it is told of no service: the models of its chart count"))
    named = "models" in environment.values_for(gateway)
    return Routes({"models": models, "backends": addresses} if models else {}, [] if named else left_out)


def _named(environment: Environment, service: str) -> str:
    """The id of the model that an environment names for a service; empty where it names none."""
    model = environment.values_for(service).get("model")
    return str(model.get("id", "")) if isinstance(model, Mapping) else ""


def _unserved(spec: ServiceSpec, chart: Mapping[str, Any], model: str) -> str:
    """Why the gateway cannot be told of a backend; empty where it can."""
    if spec.echoes:
        return "it repeats what it is asked, for tests"
    if not chart:
        return f"it has no packages/{spec.name}/chart, by which it would be deployed"
    if "model" in chart and not model:
        return f"it has no default model, and {FILE} names none, by `services: {{{spec.name}: {{model: {{id: ID}}}}}}`"
    return ""
