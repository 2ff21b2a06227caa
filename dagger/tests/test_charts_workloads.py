# SPDX-License-Identifier: Apache-2.0
"""Rules that every workload of every chart keeps, in every flavor and environment; a new service is checked, too."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from charts_rendered import Rendered, described, rendered, template, way, ways

pytestmark = pytest.mark.slow
UNPRIVILEGED = 65532
BACKEND = "packages/repeater/chart"


@pytest.fixture(params=list(ways()))
def shown(request: pytest.FixtureRequest) -> Rendered:
    """A chart, rendered in one way."""
    return way(request.param)


def matches(selector: dict[str, str], labels: dict[str, str]) -> bool:
    """Whether a selector chooses what has these labels."""
    return bool(selector) and selector.items() <= labels.items()


def test_the_selectors_choose_the_pods(shown: Rendered) -> None:
    labels = shown.pod["metadata"]["labels"]
    assert matches(shown.one("Deployment")["spec"]["selector"]["matchLabels"], labels)
    assert matches(shown.one("Service")["spec"]["selector"], labels)
    assert matches(shown.one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"], labels)
    assert matches(shown.one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"], labels)
    for spread in shown.pod["spec"]["topologySpreadConstraints"]:
        assert matches(spread["labelSelector"]["matchLabels"], labels)
    assert {document["metadata"]["namespace"] for document in shown.documents} == {"cowabungaai"}


def test_nothing_runs_with_rights_that_it_does_not_need(shown: Rendered) -> None:
    pod = shown.pod["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert shown.one("ServiceAccount")["automountServiceAccountToken"] is False
    assert pod["serviceAccountName"] == shown.one("ServiceAccount")["metadata"]["name"]
    context = pod["securityContext"]
    assert context["runAsNonRoot"] is True
    assert {context["runAsUser"], context["runAsGroup"], context["fsGroup"]} == {UNPRIVILEGED}
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in shown.containers:
        own = container["securityContext"]
        assert own["allowPrivilegeEscalation"] is False
        assert own["privileged"] is False
        assert own["readOnlyRootFilesystem"] is True
        assert own["capabilities"] == {"drop": ["ALL"]}
        assert not {"runAsUser", "runAsGroup", "procMount"} & own.keys()
    assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & pod.keys()
    assert not [volume for volume in pod["volumes"] if "hostPath" in volume]


def test_every_container_says_what_it_needs_and_may_use(shown: Rendered) -> None:
    for container in shown.containers:
        for bound in ("requests", "limits"):
            assert {"cpu", "memory"} <= container["resources"][bound].keys()


def test_folders_that_are_written_are_volumes(shown: Rendered) -> None:
    volumes = {volume["name"]: volume for volume in shown.pod["spec"]["volumes"]}
    writable = {
        mount["mountPath"]: volumes[mount["name"]]
        for mount in shown.container["volumeMounts"]
        if not mount.get("readOnly")
    }
    assert "emptyDir" in writable["/tmp"]  # noqa: S108 - in a container of its own
    with_database = "COWABUNGAAI_API_DATABASE_URL_FILE" in shown.variables
    wanted = [] if with_database else described(shown.service).get("writable", [])
    assert {"/tmp", *wanted} <= writable.keys()  # noqa: S108
    for volume in volumes.values():
        if "emptyDir" in volume:
            assert volume["emptyDir"]["sizeLimit"]


def test_what_a_pod_refers_to_is_there(shown: Rendered) -> None:
    volumes = [volume["name"] for volume in shown.pod["spec"]["volumes"]]
    mounted = {mount["name"] for container in shown.containers for mount in container["volumeMounts"]}
    assert len(volumes) == len(set(volumes))
    assert mounted == set(volumes)
    for container in shown.containers:
        paths = [mount["mountPath"] for mount in container["volumeMounts"]]
        variables = [one["name"] for one in container.get("env", [])]
        assert len(paths) == len(set(paths))
        assert len(variables) == len(set(variables))
    made = {(one["kind"], one["metadata"]["name"]) for one in shown.documents}
    for volume in shown.pod["spec"]["volumes"]:
        if "configMap" in volume:
            assert ("ConfigMap", volume["configMap"]["name"]) in made
        if "persistentVolumeClaim" in volume:
            assert ("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]) in made
    assert len(made) == len(shown.documents)


def test_probes_ask_the_service_itself(shown: Rendered) -> None:
    ports = {port["name"]: port["containerPort"] for port in shown.container["ports"]}
    probes = {name: shown.container[name] for name in ("startupProbe", "readinessProbe", "livenessProbe")}
    if described(shown.service)["protocol"] == "grpc":
        assert {probe["grpc"]["port"] for probe in probes.values()} == {ports["grpc"]}
    else:
        asked = {name: probe["httpGet"] for name, probe in probes.items()}
        assert asked == {
            "startupProbe": {"path": "/livez", "port": "http"},
            "readinessProbe": {"path": "/readyz", "port": "http"},
            "livenessProbe": {"path": "/livez", "port": "http"},
        }


def test_a_stop_leaves_time_for_the_drain(shown: Rendered) -> None:
    prefix = "COWABUNGAAI_API" if shown.gateway else "COWABUNGAAI"
    drain = int(shown.variables[f"{prefix}_DRAIN_SECONDS"])
    announced = shown.container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert shown.pod["spec"]["terminationGracePeriodSeconds"] >= announced + drain + 10
    # The kubelet must not end a drain that a backend began by itself.
    liveness = shown.container["livenessProbe"]
    assert liveness["failureThreshold"] * liveness["periodSeconds"] > drain


def test_pods_are_spread_and_taken_away_one_by_one(shown: Rendered) -> None:
    spread = {one["topologyKey"] for one in shown.pod["spec"]["topologySpreadConstraints"]}
    assert spread == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    budget = shown.one("PodDisruptionBudget")["spec"]
    assert budget["maxUnavailable"] == 1
    assert "minAvailable" not in budget


def test_pods_that_must_be_spread_start_also_where_nodes_bear_no_zone() -> None:
    shown = rendered("packages/repeater/chart", "--set=spread=DoNotSchedule")
    spread = {one["topologyKey"]: one for one in shown.pod["spec"]["topologySpreadConstraints"]}
    assert {key: one["whenUnsatisfiable"] for key, one in spread.items()} == {
        "kubernetes.io/hostname": "DoNotSchedule",
        "topology.kubernetes.io/zone": "ScheduleAnyway",
    }
    assert all(one["matchLabelKeys"] == ["pod-template-hash"] for one in spread.values())


def test_pods_come_with_the_load_unless_a_file_is_their_database(shown: Rendered) -> None:
    deployment = shown.one("Deployment")
    if shown.gateway and "COWABUNGAAI_API_DATABASE_URL_FILE" not in shown.variables:
        assert deployment["spec"]["replicas"] == 1
        assert deployment["spec"]["strategy"] == {"type": "Recreate"}
        assert shown.all("HorizontalPodAutoscaler") == []
        return
    scaler = shown.one("HorizontalPodAutoscaler")["spec"]
    assert scaler["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert 1 <= scaler["minReplicas"] <= scaler["maxReplicas"]
    # Else each upgrade would bring the number back.
    assert "replicas" not in deployment["spec"]
    kinds = [metric["type"] for metric in scaler["metrics"]]
    assert kinds == ["Resource", "Pods"]


def test_prometheus_finds_a_port_that_the_service_has(shown: Rendered) -> None:
    (endpoint,) = shown.one("ServiceMonitor")["spec"]["endpoints"]
    service = shown.one("Service")
    assert matches(shown.one("ServiceMonitor")["spec"]["selector"]["matchLabels"], service["metadata"]["labels"])
    ports = {port["name"]: port for port in service["spec"]["ports"]}
    containers = {port["name"]: port["containerPort"] for port in shown.container["ports"]}
    assert endpoint["port"] in ports
    assert all(port["targetPort"] in containers for port in ports.values())
    if shown.gateway:
        # /metrics needs a key there, which is in a Secret.
        assert endpoint["authorization"]["credentials"]["name"]
    else:
        assert str(containers[endpoint["port"]]) == shown.variables["COWABUNGAAI_METRICS_PORT"]


def test_services_of_kubernetes_are_no_settings_of_ours(shown: Rendered) -> None:
    assert shown.pod["spec"]["enableServiceLinks"] is False


def test_backends_show_each_address_so_that_the_gateway_can_spread_its_calls(shown: Rendered) -> None:
    headless = shown.one("Service")["spec"].get("clusterIP") == "None"
    assert headless is not shown.gateway


@pytest.mark.parametrize("name", [name for name, one in ways().items() if not one.environment and len(one.values) == 1])
def test_a_chart_asks_for_what_its_service_says(name: str) -> None:
    shown, said = way(name), described(way(name).service)
    resources = {bound: dict(shown.container["resources"][bound]) for bound in ("requests", "limits")}
    for amounts in resources.values():
        amounts.pop("nvidia.com/gpu", None)
    assert resources == said["resources"]
    assert {"name": said["protocol"], "containerPort": said["port"]} in shown.container["ports"]
    gpu: dict[str, Any] = shown.container["resources"]["limits"]
    assert ("nvidia.com/gpu" in gpu) is (said["flavors"] == ["gpu"])
    if settings := (said.get("model") or {}).get("settings"):
        for setting, value in settings.items():
            assert shown.variables[f"COWABUNGAAI_{setting.upper().replace('-', '_')}"] == value


def test_what_the_cluster_does_not_know_is_not_made_unless_it_must() -> None:
    custom = {"ServiceMonitor", "Package"}
    finished = template(BACKEND)
    kinds = {document["kind"] for document in yaml.safe_load_all(finished.stdout) if document}
    assert not custom & kinds
    scaler = next(one for one in yaml.safe_load_all(finished.stdout) if one["kind"] == "HorizontalPodAutoscaler")
    assert [metric["type"] for metric in scaler["spec"]["metrics"]] == ["Resource"]
    forced = template(BACKEND, "--set=serviceMonitor.enabled=always", "--set=uds.enabled=always")
    assert custom <= {document["kind"] for document in yaml.safe_load_all(forced.stdout) if document}
    denied = rendered(BACKEND, "--set=serviceMonitor.enabled=never", "--set=uds.enabled=never")
    assert not custom & {document["kind"] for document in denied.documents}
