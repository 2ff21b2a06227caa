# SPDX-License-Identifier: Apache-2.0
"""What bundles hold: a definition below bundles/, filled with the packages that were built. Needs no engine."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml
from pydantic import RootModel

from cowabungaai import yaml_files
from cowabungaai.catalog import Catalog, ServiceSpec
from cowabungaai.environments import merged
from cowabungaai.errors import BuildError
from cowabungaai.package_report import PackageReport

FOLDER = "bundles"
DEFINITION = "uds-bundle.yaml"
VARIANTS = "variants.yaml"
PACKAGES = "packages"
PREFIX = "cowabungaai-"
# The gateway's variables that follow from the packages of a bundle.
MODELS, BACKENDS = "MODELS", "BACKENDS"
# Paths of values that mean something to pods with GPUs alone.
GPU = "gpu."
FOLLOWING = (MODELS, BACKENDS)


class _Variants(RootModel[dict[str, list[str]]]):
    """The services of each variant of a bundle."""


def services_of(variants: str, name: str, variant: str, catalog: Catalog) -> list[str]:
    """The services of a bundle's variant, in the order in which they are deployed.

    Args:
        variants: The content of variants.yaml.
        name: Of the bundle.
        variant: Of it, such as cpu or gpu.
        catalog: All services.

    Raises:
        BuildError: The bundle has no such variant, or names what is no service.
    """
    file = f"{FOLDER}/{name}/{VARIANTS}"
    known = yaml_files.parse(variants, file, _Variants, BuildError, "services for each variant").root
    if variant not in known:
        raise BuildError(f"bundle {name!r} has no variant {variant!r}; it has: {', '.join(known)} ({file})")
    names = {spec.name for spec in catalog}
    if wrong := [service for service in known[variant] if service not in names]:
        raise BuildError(f"{file}: {wrong[0]!r} is no service; services are: {', '.join(sorted(names))}")
    return known[variant]


def flavor_in(spec: ServiceSpec, variant: str) -> str:
    """The flavor of a service's package in a variant: the one of its name where the service has it, else its first.

    Args:
        spec: The service.
        variant: Of a bundle.
    """
    return variant if variant in spec.flavors else spec.flavors[0]


def filled(
    definition: str,
    packages: Sequence[PackageReport],
    catalog: Catalog,
    *,
    name: str,
    variant: str,
    version: str,
    gpu_values: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """A bundle's uds-bundle.yaml, with the packages that were built.

    Args:
        definition: The content of the uds-bundle.yaml below bundles/.
        packages: In the order in which they are deployed; what the definition names besides is left out.
        catalog: All services.
        name: Of the bundle.
        variant: Of it, such as cpu or gpu.
        version: Of the bundle.
        gpu_values: By service, what its chart gets on top of its values with the flavor gpu.

    Raises:
        BuildError: The definition lacks one of the packages.
    """
    bundle = yaml.safe_load(definition)
    entries = {entry["name"]: entry for entry in bundle["packages"]}
    chosen = []
    for package in packages:
        entry = copy.deepcopy(entries.get(PREFIX + package.service))
        if entry is None:
            raise BuildError(f"{FOLDER}/{name}/{DEFINITION} has no package {PREFIX}{package.service}")
        entry["path"], entry["ref"] = f"{PACKAGES}/{package.file}", package.version
        _fit(entry, package, (gpu_values or {}).get(package.service, {}))
        if catalog.get(package.service).kind == "gateway":
            _connect(entry, package.service, *routes(packages, catalog))
        chosen.append(entry)
    bundle["metadata"]["name"] += "" if variant == "cpu" else f"-{variant}"
    bundle["metadata"]["version"] = version
    bundle["packages"] = chosen
    return dict(bundle)


def _fit(entry: dict[str, Any], package: PackageReport, over: Mapping[str, Any]) -> None:
    """Defaults are what the package's chart has with its flavor: a bundle's count more than the package's own."""
    for charts in entry.get("overrides", {}).values():
        for chart in charts.values():
            variables = chart.get("variables", [])
            chart["variables"] = [
                {**one, "default": _default(one["default"], over, one["path"])}
                for one in variables
                if package.flavor == "gpu" or not one["path"].startswith(GPU)
            ]


def _default(default: Any, values: Mapping[str, Any], path: str) -> Any:
    found: Any = values
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return default if found is None else merged({path: default}, {path: found})[path]


def routes(packages: Sequence[PackageReport], catalog: Catalog) -> tuple[list[dict[str, str]], dict[str, Any]]:
    """The gateway's models, and its backends, in a bundle.

    Args:
        packages: Of the bundle.
        catalog: All services.
    """
    return routes_to((catalog.get(one.service), one.model.id if one.model else "", {}) for one in packages)


def routes_to(
    served: Iterable[tuple[ServiceSpec, str, Mapping[str, Any]]],
) -> tuple[list[dict[str, str]], dict[str, Any]]:
    """The gateway's models, and its backends: every backend answers to its own name, and to that of its model.

    Args:
        served: Services, the id of the model that each serves, empty where it has none, and what is set of its chart,
            which may have another name or port; what is no backend is left out.
    """
    models: list[dict[str, str]] = []
    backends: dict[str, Any] = {}
    for spec, model, values in served:
        if not spec.is_backend:
            continue
        host, port = values.get("name") or PREFIX + spec.name, values.get("port", spec.port)
        backends[spec.name] = {"dns": f"grpc://{host}:{port}"}
        models.append({"name": spec.name, "backend": spec.name, **({"backend_model": model} if model else {})})
        if model and model != spec.name:
            models.append({"name": model, "backend": spec.name})
    return models, backends


def _connect(entry: dict[str, Any], service: str, models: list[dict[str, str]], backends: dict[str, Any]) -> None:
    """Tell the gateway its models and backends; an operator adds others."""
    chart = entry.setdefault("overrides", {}).setdefault(service, {}).setdefault(PREFIX + service, {})
    variables: list[dict[str, Any]] = chart.setdefault("variables", [])
    for name, path, default, description in (
        (MODELS, "models", models, "Models that the gateway offers: the name, its backend, and its name there"),
        (BACKENDS, "backends", backends, "Where backends are"),
    ):
        variables.append({"name": name, "path": path, "default": default, "description": description})


def variables_of(bundle: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What an operator can set in a bundle.

    Args:
        bundle: Its uds-bundle.yaml.
    """
    return [
        {**variable, "package": package["name"]}
        for package in bundle["packages"]
        for charts in package.get("overrides", {}).values()
        for chart in charts.values()
        for variable in chart.get("variables", [])
    ]


def config_for(bundle: Mapping[str, Any]) -> str:
    """A uds-config.yaml with every variable, its description and its default, each line to be changed.

    What follows from the packages is commented out: a file that is kept must not hide what a later bundle has.

    Args:
        bundle: Its uds-bundle.yaml.
    """
    lines = [
        f"# What can be set in {bundle['metadata']['name']}; what stands here is what counts without this file.",
        "# UDS_CONFIG=THIS-FILE uds deploy BUNDLE --confirm; `variables:` and the package stay above what is set.",
        "# READMEs are in the packages: `zarf package inspect documentation PACKAGE` tells where it puts them.",
        "# What is commented out follows from the packages; set, it takes the place of the whole list.",
        "variables:",
    ]
    package = ""
    for variable in variables_of(bundle):
        if variable["package"] != package:
            package = variable["package"]
            lines.append(f"  {package}:")
        value = yaml.safe_dump(variable["default"], default_flow_style=True, width=10_000).removesuffix("...\n").strip()
        out = "# " if variable["name"] in FOLLOWING else ""
        lines += [f"    # {variable['description']}", f"    {out}{variable['name']}: {value}"]
    return "\n".join(lines) + "\n"
