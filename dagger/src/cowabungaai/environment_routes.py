# SPDX-License-Identifier: Apache-2.0
"""What the gateway of an environment is told of the services beside it. Needs no engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cowabungaai.bundle_definition import routes_to
from cowabungaai.catalog import Catalog, ServiceSpec
from cowabungaai.environments import FILE, Environment
from cowabungaai.report import BuildReport, LeftOut

NOT_BUILT = "it is not among what this call built"


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
    """The gateway's models and backends: of the services that were built, and of those that are there already.

    Args:
        environment: Where it is deployed; a model whose id it names takes the place of the service's default one, and
            tells that the service is there where this call did not build it.
        report: What was built.
        catalog: All services.
        charts: By service, the values of its chart; None where it has none.
    """
    built = {row.service for row in report.services}
    gateway = next((spec.name for spec in catalog if spec.name in built and spec.kind == "gateway"), "")
    if not gateway:
        return Routes({}, [])
    missing = {spec.name: NOT_BUILT for spec in catalog if spec.name not in built}
    missing |= {row.service: row.reason for row in report.left_out}
    served, left_out = [], []
    for spec in sorted((one for one in catalog if one.is_backend), key=lambda one: one.name):
        values = environment.values_for(spec.name)
        named = _model_in(values)
        model = named or (spec.model.id if spec.model else "")
        reason = _unserved(spec, charts.get(spec.name) or {}, model)
        if spec.name in missing and not named:
            reason = missing[spec.name]
        if reason:
            left_out.append(LeftOut(service=spec.name, reason=reason))
        else:
            served.append((spec, model, values))
    models, addresses = routes_to(served)
    if not models:
        left_out.append(LeftOut(service=gateway, reason="it is told of no service: the models of its chart count"))
    if "models" in environment.values_for(gateway):
        left_out = []
    return Routes({"models": models, "backends": addresses} if models else {}, left_out)


def _model_in(values: Mapping[str, Any]) -> str:
    """The id of the model that an environment's values name; empty where they name none."""
    model = values.get("model")
    return str(model.get("id") or "") if isinstance(model, Mapping) else ""


def _unserved(spec: ServiceSpec, chart: Mapping[str, Any], model: str) -> str:
    """Why the gateway cannot be told of a backend; empty where it can."""
    if spec.echoes:
        return "it repeats what it is asked, for tests"
    if not chart:
        return f"it has no packages/{spec.name}/chart, by which it would be deployed"
    if "model" in chart and not model:
        return f"it has no default model, and {FILE} names none, by `services: {{{spec.name}: {{model: {{id: ID}}}}}}`"
    return ""
