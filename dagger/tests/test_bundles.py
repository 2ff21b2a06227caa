# SPDX-License-Identifier: Apache-2.0
"""Bundles name the packages that were built, and nothing that an operator can set lacks a description and a default."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cowabungaai import bundle_definition as definitions
from cowabungaai.catalog import Catalog, parse
from cowabungaai.environments import known_values
from cowabungaai.errors import BuildError
from cowabungaai.package_report import PackagedModel, PackageReport

ROOT = Path(__file__).parents[2]
BUNDLES = sorted(path.parent for path in (ROOT / "bundles").glob("*/uds-bundle.yaml"))
LIBRARY = ROOT / "packages/common/chart/values.yaml"
# Values of charts that no bundle lets an operator set, and why.
NOT_SET = {
    "image": "the package fills it in, by digest",
    "name": "a package has one release, and waits for a Deployment of this name",
    "port": "the gateway, its backends and UDS are told of it by each other's values",
    "metricsPort": "Prometheus finds it by its name",
    "stopDelaySeconds": "it is how long Kubernetes takes to hand on that a pod stops",
    "imagePullSecrets": "Zarf's agent adds the one of its registry",
    "autoscaling.metrics": "they are those that the service exports, and what one pod should have of each was measured",
    "autoscaling.scaleDownSeconds": "what a pod loses that goes, cache and loaded weights, is the same in any cluster",
    "network.enabled": "all that is not named stays denied",
    "global": "Helm puts it there",
    "cowabungaai-common": "Helm puts it there",
}
NOT_SET_IN_BACKENDS = {
    "gateway.namespace": "all packages of a bundle are in one namespace",
    "network.ingress": "the gateway and Prometheus alone may call a backend",
    "network.egress": "a backend asks nobody",
    "uds.enabled": "the gateway's Package speaks for the backends of its namespace",
    "uds.mesh": "the gateway's Package speaks for the backends of its namespace",
    "model.image": "the package fills it in",
    "model.id": "it is that of the weights' manifest, which the gateway's models name",
    "gpu.enabled": "the flavor of the package decides it",
}


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog(parse(path.read_text(), path.name) for path in ROOT.glob("services/*/service.yaml"))


def report(catalog: Catalog, service: str, flavor: str = "cpu") -> PackageReport:
    default = catalog.get(service).model
    model = None
    if catalog.get(service).kind != "gateway" and service != "repeater":
        model = PackagedModel(id=default.id if default else "brought", licence="x", digest="0", image="i", size=0)
    return PackageReport(
        service=service,
        flavor=flavor,
        variant="upstream",
        file=f"zarf-package-cowabungaai-{service}-amd64-9.9.9-upstream.tar.zst",
        version="9.9.9",
        size=1,
        image=f"{service}:9.9.9",
        image_digest="sha256:0",
        model=model,
        budget=None,
    )


def variants() -> list[tuple[Path, str]]:
    read = {folder: yaml.safe_load((folder / "variants.yaml").read_text()) for folder in BUNDLES}
    return [(folder, variant) for folder in BUNDLES for variant in read[folder]]


def made(folder: Path, variant: str, catalog: Catalog) -> dict[str, Any]:
    services = definitions.services_of((folder / "variants.yaml").read_text(), folder.name, variant, catalog)
    reports = [report(catalog, service, definitions.flavor_in(catalog.get(service), variant)) for service in services]
    definition = (folder / "uds-bundle.yaml").read_text()
    of_gpus = {one.service: gpu_values(one.service) for one in reports if one.flavor == "gpu"}
    return definitions.filled(
        definition, reports, catalog, name=folder.name, variant=variant, version="1.2.3", gpu_values=of_gpus
    )


def gpu_values(service: str) -> dict[str, Any]:
    file = ROOT / "packages" / service / "values/gpu.yaml"
    return dict(yaml.safe_load(file.read_text())) if file.exists() else {}


@pytest.mark.parametrize(("folder", "variant"), variants(), ids=lambda value: getattr(value, "name", value))
def test_a_bundle_has_the_packages_that_were_built(folder: Path, variant: str, catalog: Catalog) -> None:
    bundle = made(folder, variant, catalog)
    assert bundle["metadata"]["version"] == "1.2.3"
    assert bundle["metadata"]["name"] == f"cowabungaai-{folder.name}" + ("" if variant == "cpu" else f"-{variant}")
    services = yaml.safe_load((folder / "variants.yaml").read_text())[variant]
    assert [entry["name"] for entry in bundle["packages"]] == [f"cowabungaai-{service}" for service in services]
    assert {entry["ref"] for entry in bundle["packages"]} == {"9.9.9"}
    assert all(entry["path"].endswith("-9.9.9-upstream.tar.zst") for entry in bundle["packages"])


@pytest.mark.parametrize(("folder", "variant"), variants(), ids=lambda value: getattr(value, "name", value))
def test_every_variable_has_a_description_and_the_charts_default(folder: Path, variant: str, catalog: Catalog) -> None:
    bundle = made(folder, variant, catalog)
    variables = definitions.variables_of(bundle)
    assert len({(one["package"], one["name"]) for one in variables}) == len(variables) > 0
    config = yaml.safe_load(definitions.config_for(bundle))["variables"]
    for one in variables:
        assert one["description"]
        if one["name"] in definitions.FOLLOWING:
            assert one["name"] not in config[one["package"]]
            continue
        assert config[one["package"]][one["name"]] == one["default"]
        service = one["package"].removeprefix("cowabungaai-")
        gpu = definitions.flavor_in(catalog.get(service), variant) == "gpu"
        over = gpu_values(service) if gpu else {}
        assert default_of(ROOT / "packages" / service / "chart", one["path"], over) == one["default"], one["name"]
        assert gpu or not one["path"].startswith("gpu."), one["name"]


def leaves(values: dict[str, Any], above: str = "") -> Iterator[str]:
    """Paths of all values that have none below them."""
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{above}{name}.")
        else:
            yield above + name


def leaves_of_schema(schema: dict[str, Any], shared: dict[str, Any], above: str = "") -> Iterator[str]:
    """Likewise, of what a schema allows."""
    for name, part in schema["properties"].items():
        found = part
        while "$ref" in found:
            found = shared[found["$ref"].removeprefix("#/definitions/")]
        if "properties" in found:
            yield from leaves_of_schema(found, shared, f"{above}{name}.")
        else:
            yield above + name


def leaves_of_chart(service: str) -> set[str]:
    """Paths of all that can be set in a service's chart."""
    chart = ROOT / "packages" / service / "chart"
    schema = json.loads((chart / "values.schema.json").read_text())
    texts = [file.read_text() for file in (chart / "Chart.yaml", chart / "values.yaml", LIBRARY)]
    return {*leaves(known_values(*texts)), *leaves_of_schema(schema, schema["definitions"])}


def set_by(entry: dict[str, Any]) -> set[str]:
    """Paths that a bundle sets in the charts of a package, or lets an operator set."""
    charts = [chart for component in entry["overrides"].values() for chart in component.values()]
    return {one["path"] for chart in charts for one in (*chart.get("variables", []), *chart.get("values", []))}


@pytest.mark.parametrize("folder", BUNDLES, ids=lambda folder: folder.name)
def test_every_value_of_a_chart_can_be_set_or_is_left_out_for_a_reason(folder: Path, catalog: Catalog) -> None:
    definition = (folder / "uds-bundle.yaml").read_text()
    services = [one["name"].removeprefix(definitions.PREFIX) for one in yaml.safe_load(definition)["packages"]]
    reports = [report(catalog, service, catalog.get(service).flavors[-1]) for service in services]
    bundle = definitions.filled(definition, reports, catalog, name=folder.name, variant="gpu", version="1.2.3")
    for service, entry in zip(services, bundle["packages"], strict=True):
        paths = set_by(entry)
        left = {
            leaf
            for leaf in leaves_of_chart(service)
            if not any(leaf == path or leaf.startswith(f"{path}.") for path in paths)
        }
        not_set = {**NOT_SET, **(NOT_SET_IN_BACKENDS if catalog.get(service).is_backend else {})}
        assert left == not_set.keys() & leaves_of_chart(service), service


def test_what_bundles_leave_out_is_a_value_of_charts(catalog: Catalog) -> None:
    charts = {file.parts[-3]: leaves_of_chart(file.parts[-3]) for file in ROOT.glob("packages/*/chart/*.schema.json")}
    backends = [paths for service, paths in charts.items() if catalog.get(service).is_backend]
    assert NOT_SET.keys() <= set.intersection(*charts.values())
    assert NOT_SET_IN_BACKENDS.keys() <= set.union(*backends)
    assert all([*NOT_SET.values(), *NOT_SET_IN_BACKENDS.values()])


def test_a_pod_with_gpus_keeps_what_its_package_gives_it(catalog: Catalog) -> None:
    bundle = made(ROOT / "bundles/latest", "gpu", catalog)
    values = {one["name"]: one["default"] for one in definitions.variables_of(bundle)}
    assert values["TEXT_EMBEDDINGS_MAX_REPLICAS"] == 1
    assert values["TEXT_EMBEDDINGS_RESOURCES"]["limits"]["memory"] == "16Gi"
    assert values["TEXT_EMBEDDINGS_GPUS"] == 1
    assert values["WHISPER_MAX_REPLICAS"] == 3, "whisper has no flavor gpu"


def default_of(chart: Path, path: str, over: dict[str, Any]) -> Any:
    """What a chart has at a path of these values, its own, or those that it imports from the common one."""
    own = yaml.safe_load((chart / "values.yaml").read_text())
    imported = yaml.safe_load((chart / "Chart.yaml").read_text())["dependencies"][0]["import-values"]
    exports = yaml.safe_load(LIBRARY.read_text())["exports"]
    for values in (over, own, *(exports[name] for name in imported)):
        found: Any = values
        for part in path.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        if found is not None:
            return found
    raise AssertionError(f"{chart} has no value {path}")


def test_the_gateway_knows_the_backends_and_models_of_its_bundle(catalog: Catalog) -> None:
    bundle = made(ROOT / "bundles/latest", "cpu", catalog)
    variables = bundle["packages"][-1]["overrides"]["api"]["cowabungaai-api"]["variables"]
    values = {one["path"]: one["default"] for one in variables}
    assert sorted(values["backends"]) == ["llama-cpp-python", "text-embeddings", "whisper"]
    assert values["backends"]["whisper"] == {"dns": "grpc://cowabungaai-whisper:50051"}
    assert {"name": "gemma-3-270m", "backend": "llama-cpp-python"} in values["models"]
    assert {"name": "llama-cpp-python", "backend": "llama-cpp-python", "backend_model": "gemma-3-270m"} in values[
        "models"
    ]


def test_a_gpu_variant_takes_gpu_packages_where_there_are_any(catalog: Catalog) -> None:
    assert definitions.flavor_in(catalog.get("text-embeddings"), "gpu") == "gpu"
    assert definitions.flavor_in(catalog.get("whisper"), "gpu") == "cpu"


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ("cpu: [repeater]", r"no variant 'gpu'; it has: cpu"),
        ("gpu: [repeater, nothing]", r"'nothing' is no service; services are: api"),
        ("gpu: repeater", r"bundles/x/variants\.yaml:1: gpu: input should be a valid list, got 'repeater'"),
        ("gpu:\n- [repeater]", r"bundles/x/variants\.yaml:2: gpu\.0: input should be a valid string"),
        ("[]", r"bundles/x/variants\.yaml:1: expected a mapping of services for each variant"),
        (
            "gpu: [api]\ncpu: []\ngpu: []",
            r"bundles/x/variants\.yaml:3: not valid YAML: gpu is given twice, first in line 1",
        ),
    ],
)
def test_wrong_variants_are_told(variants: str, message: str, catalog: Catalog) -> None:
    with pytest.raises(BuildError, match=message):
        definitions.services_of(variants, "x", "gpu", catalog)


def test_a_package_that_the_definition_lacks_is_told(catalog: Catalog) -> None:
    definition = (ROOT / "bundles/dev/uds-bundle.yaml").read_text()
    with pytest.raises(BuildError, match="has no package cowabungaai-whisper"):
        definitions.filled(definition, [report(catalog, "whisper")], catalog, name="dev", variant="cpu", version="1")
