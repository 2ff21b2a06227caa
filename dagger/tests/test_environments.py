# SPDX-License-Identifier: Apache-2.0
"""Environments: what environments.yaml may say, and what follows for a service."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from charts_rendered import rendered

from cowabungaai.catalog import Catalog, parse
from cowabungaai.environment_routes import NOT_BUILT, Routes, routes_in
from cowabungaai.environments import (
    FILE,
    EnvironmentName,
    chart_values,
    check_values,
    known_values,
    load,
    merged,
    named,
)
from cowabungaai.errors import DeploymentError
from cowabungaai.report import BuildReport, NotBuilt, ServiceReport

ROOT = Path(__file__).parents[2]
TEXT = files("cowabungaai").joinpath(FILE).read_text()
LIBRARY = ROOT / "packages/common/chart"
CHARTS = sorted(set(ROOT.glob("packages/*/chart")) - {LIBRARY})
DIGEST = "sha256:" + "0" * 64
SHA = "0123456789abcdef0123456789abcdef01234567"
CATALOG = Catalog(parse(path.read_text(), path.name) for path in ROOT.glob("services/*/service.yaml"))
# What only production says of the gateway stands below it.
API = "    api:\n"
ONLY_GPU = "it has the flavor gpu alone"


def values_of(chart: Path) -> dict[str, Any]:
    """A chart's values."""
    texts = [file.read_text() for file in (chart / "Chart.yaml", chart / "values.yaml", LIBRARY / "values.yaml")]
    return known_values(*texts)


@pytest.mark.parametrize("name", list(EnvironmentName))
@pytest.mark.parametrize("chart", CHARTS, ids=[folder.parts[-2] for folder in CHARTS])
def test_every_environment_fits_every_chart(name: EnvironmentName, chart: Path) -> None:
    image = f"ghcr.io/cowabungaai/x:1@{DIGEST}"
    values = yaml.safe_load(chart_values(load(name), chart.parts[-2], values_of(chart), image))
    assert values["image"] == image
    assert values["replicas"] >= 1


def test_environments_differ_where_they_should() -> None:
    replicas = [load(name).values_for("api")["replicas"] for name in EnvironmentName]
    assert replicas == [1, 1, 3]
    assert load(EnvironmentName.production).values_for("a-new-one")["replicas"] == 2
    assert [load(name).tags_for("1.2.0+x", SHA) for name in EnvironmentName] == [
        ["1.2.0-x-dev", SHA],
        ["1.2.0-x-rc", SHA],
        ["1.2.0-x", SHA],
    ]
    assert load(EnvironmentName.production).tags_for("1.2.0", None) == ["1.2.0"]


def test_an_unknown_environment_is_refused_with_those_that_are() -> None:
    assert named("STAGING") == load(EnvironmentName.staging)
    with pytest.raises(DeploymentError, match="named 'stage'; the environments are: development, staging, production"):
        named("stage")


def test_a_value_that_the_chart_lacks_is_named_and_those_that_it_has_are_listed() -> None:
    wrong = load(EnvironmentName.staging, TEXT.replace("replicas: 1, logLevel: info", "replica: 1"))
    with pytest.raises(DeploymentError) as refused:
        chart_values(wrong, "x", {"replicas": 1, "logLevel": "info"}, "x")
    assert str(refused.value) == (
        "environments.yaml: x: the chart has no value 'replica'; here it has: replicas, logLevel"
    )
    nested = load(EnvironmentName.production, TEXT.replace("{secretName: cowabungaai", "{secret: cowabungaai"))
    with pytest.raises(DeploymentError, match=r"api: the chart has no value 'database\.secret'"):
        chart_values(nested, "api", values_of(ROOT / "packages/api/chart"), "x")


def test_values_that_a_chart_imports_are_its_own_too_and_the_first_import_counts_most() -> None:
    chart = "dependencies: [{name: b, import-values: [near, far]}]"
    library = "exports: {near: {a: {x: 1}}, far: {a: {x: 2, y: 2}, b: 2}, other: {c: 3}}"
    assert known_values(chart, "a: {y: 0}", library) == {"a": {"x": 1, "y": 0}, "b": 2}
    assert known_values("name: alone", "a: 1", library) == {"a": 1}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("severity: CRITICAL\n", "severity: SEVERE\n", "development.policy.severity"),
        ("max_db_age: 30d", "max_db_age: long", "development.policy.max_db_age"),
        ("staging:", "stage:", "staging: field required"),
        ("{version}-dev", "{name}-dev", "development.tags"),
        ("  values: {replicas: 1, logLevel: info}\n", "", "staging.values: field required"),
    ],
)
def test_a_wrong_file_is_refused_with_line_and_field(old: str, new: str, message: str) -> None:
    assert old in TEXT
    with pytest.raises(DeploymentError) as refused:
        load(EnvironmentName.development, TEXT.replace(old, new))
    assert message in str(refused.value)
    assert str(refused.value).startswith("environments.yaml:")


def test_values_are_joined_as_helm_does() -> None:
    under = {"a": {"b": 1, "c": [1, 2]}, "d": 1}
    assert merged(under, {"a": {"c": [3]}, "d": {"e": 1}}) == {"a": {"b": 1, "c": [3]}, "d": {"e": 1}}
    assert under == {"a": {"b": 1, "c": [1, 2]}, "d": 1}


def test_an_image_of_the_flavor_gpu_gets_its_values_below_those_of_the_environment() -> None:
    of_flavor = {"gpu": {"enabled": True}, "resources": {"limits": {"memory": "16Gi"}}, "logLevel": "error"}
    text = chart_values(
        load(EnvironmentName("development")), "x", {"replicas": 1, "logLevel": "info"}, "image", of_flavor
    )
    assert yaml.safe_load(text) == {**of_flavor, "image": "image", "replicas": 1, "logLevel": "debug"}


def built(*services: str, left_out: str = "") -> BuildReport:
    """A report of these services, one of which may not have been built."""
    rows = [
        ServiceReport(
            service=name,
            flavor="cpu",
            file=f"{name}.tar",
            image=f"{name}:1",
            digest=DIGEST,
            size=1,
            layers=1,
            seconds=1,
            cached=False,
            drift=[],
        )
        for name in services
    ]
    lacking = [NotBuilt(service=left_out, flavor="cpu", file="x.tar", reason=ONLY_GPU)] if left_out else []
    return BuildReport(seconds=1, services=rows, left_out=lacking)


def routed(report: BuildReport, text: str = TEXT) -> Routes:
    """What the gateway is told in production."""
    charts = {chart.parts[-2]: values_of(chart) for chart in CHARTS}
    return routes_in(load(EnvironmentName.production, text), report, CATALOG, charts)


def gateways_values(routes: Routes, text: str = TEXT) -> str:
    """The gateway's values file."""
    production = load(EnvironmentName.production, text)
    return chart_values(production, "api", values_of(ROOT / "packages/api/chart"), "image:1", routes.values)


def test_the_gateway_of_an_environment_is_told_of_what_was_built_beside_it() -> None:
    routes = routed(built("api", "llama-cpp-python", "repeater", "sdk", "whisper", left_out="vllm"))
    values = yaml.safe_load(gateways_values(routes))
    assert values["backends"] == {
        "llama-cpp-python": {"dns": "grpc://cowabungaai-llama-cpp-python:50051"},
        "whisper": {"dns": "grpc://cowabungaai-whisper:50051"},
    }
    assert values["models"] == [
        {"name": "llama-cpp-python", "backend": "llama-cpp-python", "backend_model": "gemma-3-270m"},
        {"name": "gemma-3-270m", "backend": "llama-cpp-python"},
        {"name": "whisper", "backend": "whisper", "backend_model": "whisper-tiny.en"},
        {"name": "whisper-tiny.en", "backend": "whisper"},
    ]
    assert values["replicas"] == 3
    assert {one.service: one.reason for one in routes.left_out} == {
        "vllm": ONLY_GPU,
        "text-embeddings": NOT_BUILT,
        "repeater": "it repeats what it is asked, for tests",
    }


def test_a_service_without_a_model_is_left_out_until_the_environment_names_one() -> None:
    report = built("api", "llama-cpp-python", "text-embeddings", "whisper", left_out="vllm")
    assert {one.service: one.reason for one in routed(report).left_out} == {"repeater": NOT_BUILT, "vllm": ONLY_GPU}
    named = routed(report, TEXT.replace(API, f"    vllm: {{model: {{id: qwen3-8b}}}}\n{API}"))
    assert [one.service for one in named.left_out] == ["repeater"]
    assert {"name": "vllm", "backend": "vllm", "backend_model": "qwen3-8b"} in named.values["models"]
    empty = routed(report, TEXT.replace(API, f"    whisper: {{model: {{id: }}}}\n{API}"))
    assert {"name": "whisper", "backend": "whisper", "backend_model": "whisper-tiny.en"} in empty.values["models"]


def test_models_that_the_environment_names_count_more_than_what_was_built() -> None:
    models = "      models: [{name: mine, backend: other}]\n"
    backends = "      backends: {other: {dns: 'grpc://other:50051'}}\n"
    text = TEXT.replace(API, API + models + backends)
    routes = routed(built("api", "repeater", "whisper"), text)
    assert routes.left_out == []
    values = yaml.safe_load(gateways_values(routes, text))
    assert values["models"] == [{"name": "mine", "backend": "other"}]
    assert sorted(values["backends"]) == ["other", "whisper"]


def test_a_gateway_that_can_be_told_of_nothing_keeps_the_models_of_its_chart() -> None:
    routes = routed(built("api", "sdk"))
    assert routes.values == {}
    backends = ["llama-cpp-python", "repeater", "text-embeddings", "vllm", "whisper"]
    assert [one.service for one in routes.left_out] == [*backends, "api"]
    assert routed(built("whisper")) == Routes({}, [])


def test_values_of_services_that_are_not_built_are_checked_too() -> None:
    charts = {chart.parts[-2]: values_of(chart) for chart in CHARTS}
    for name in EnvironmentName:
        check_values(load(name), {**charts, "sdk": None})
    mistaken = load(EnvironmentName.production, TEXT.replace(API, f"    vllm: {{prot: 50061}}\n{API}"))
    with pytest.raises(DeploymentError, match=r"vllm: the chart has no value 'prot'; here it has: "):
        check_values(mistaken, charts)


def test_a_backend_is_called_where_the_environment_puts_it() -> None:
    moved = TEXT.replace(API, f"    whisper: {{name: speech, port: 50060}}\n{API}")
    assert routed(built("api", "whisper"), moved).values["backends"] == {"whisper": {"dns": "grpc://speech:50060"}}


@pytest.mark.slow
def test_the_chart_of_the_gateway_takes_what_it_is_told(tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(gateways_values(routed(built("api", "llama-cpp-python", "text-embeddings", "whisper"))))
    shown = rendered("packages/api/chart", f"--values={file}")
    (config,) = [one["data"]["models.yaml"] for one in shown.all("ConfigMap")]
    assert sorted(yaml.safe_load(config)["backends"]) == ["llama-cpp-python", "text-embeddings", "whisper"]
    assert "repeater" not in config
