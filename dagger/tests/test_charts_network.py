# SPDX-License-Identifier: Apache-2.0
"""What charts let through: nothing but what is named, and the same in NetworkPolicies and in UDS Packages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from charts_rendered import NAMESPACE, Rendered, rendered, template, way, ways

pytestmark = pytest.mark.slow
API = "packages/api/chart"
REPEATER = "packages/repeater/chart"
DNS = "kube-system"
DATABASE = "--set=database.secretName=postgres"
GATEWAY = {"app.kubernetes.io/part-of": "cowabungaai", "app.kubernetes.io/component": "gateway"}
PROMETHEUS = {"app.kubernetes.io/name": "prometheus"}
NAME = "kubernetes.io/metadata.name"
# The database's address where the variables of a package are as they are written.
UNSET = "###ZARF_VAR_DATABASE_CIDR###"
COLLECTOR = ("--set=tracing.endpoint=http://collector.otel:4317", "--set=tracing.namespace=otel")


@pytest.fixture(params=list(ways()))
def shown(request: pytest.FixtureRequest) -> Rendered:
    """A chart, rendered in one way."""
    return way(request.param)


def edges(shown: Rendered) -> set[tuple[str, str, frozenset[tuple[str, str]], frozenset[int]]]:
    """Direction, namespace or addresses, labels and ports of a NetworkPolicy's edges; DNS is left out."""
    found = set()
    for direction, side in (("Ingress", "from"), ("Egress", "to")):
        for rule in shown.one("NetworkPolicy")["spec"][direction.lower()]:
            (peer,) = rule[side]
            namespace = peer["ipBlock"]["cidr"] if "ipBlock" in peer else namespace_of(peer)
            if namespace != DNS:
                pods = peer.get("podSelector", {}).get("matchLabels", {})
                found.add(edge(direction, namespace, pods, [port["port"] for port in rule["ports"]]))
    return found


def namespace_of(peer: dict[str, Any]) -> str:
    """The namespace of a peer; `*` for all."""
    selector = peer["namespaceSelector"]
    return str(selector["matchLabels"][NAME]) if selector else "*"


def edge(
    direction: str, namespace: str, pods: dict[str, str], ports: list[int]
) -> tuple[str, str, frozenset[tuple[str, str]], frozenset[int]]:
    """An edge, to be compared."""
    return direction, namespace, frozenset(pods.items()), frozenset(ports)


def allowed(package: dict[str, Any], name: str) -> set[tuple[str, str, frozenset[tuple[str, str]], frozenset[int]]]:
    """The edges of a UDS Package that are of one workload."""
    return {
        edge(
            one["direction"],
            one.get("remoteCidr") or one["remoteNamespace"],
            one.get("remoteSelector", {}),
            one["ports"],
        )
        for one in package["spec"]["network"]["allow"]
        if one["selector"] == {"app.kubernetes.io/name": name}
    }


def test_all_but_named_pods_is_denied(shown: Rendered) -> None:
    policy = shown.one("NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    for direction, side in (("ingress", "from"), ("egress", "to")):
        for rule in policy[direction]:
            assert rule["ports"]
            (peer,) = rule[side]
            if peer.get("ipBlock") == {"cidr": UNSET}:
                continue
            assert "ipBlock" not in peer
            assert peer["namespaceSelector"]["matchLabels"][NAME]
            assert peer["podSelector"]["matchLabels"]


def test_backends_know_the_gateway_and_prometheus_and_ask_nobody(shown: Rendered) -> None:
    if shown.gateway:
        return
    port = shown.container["ports"][0]["containerPort"]
    assert edges(shown) == {
        edge("Ingress", NAMESPACE, GATEWAY, [port]),
        edge("Ingress", "monitoring", PROMETHEUS, [int(shown.variables["COWABUNGAAI_METRICS_PORT"])]),
    }
    assert shown.one("NetworkPolicy")["spec"]["egress"] == []


def test_the_package_of_uds_allows_what_the_policy_allows(shown: Rendered) -> None:
    packages = shown.all("Package")
    # The operator takes one a namespace, and that is the gateway's.
    assert len(packages) == (1 if shown.gateway else 0)
    for package in packages:
        # What `expose` already says.
        exposed = edge("Ingress", "istio-tenant-gateway", {"app": "tenant-ingressgateway"}, [8080])
        assert allowed(package, shown.pod["metadata"]["labels"]["app.kubernetes.io/name"]) == edges(shown) - {exposed}
        assert exposed in edges(shown)
        assert all(one.get("remoteNamespace") != "*" for one in package["spec"]["network"]["allow"])
        assert not [one for one in package["spec"]["network"]["allow"] if "remoteGenerated" in one]


def test_the_gateway_reaches_its_backends_its_database_and_dns() -> None:
    arguments = (DATABASE, "--set=database.namespace=postgres", "--set=database.pods.app=db")
    shown = rendered(API, *arguments, "--set=sso.enabled=true", "--set=sso.domain=uds.dev")
    backend = {**GATEWAY, "app.kubernetes.io/component": "backend"}
    assert {one for one in edges(shown) if one[0] == "Egress"} == {
        edge("Egress", NAMESPACE, backend, [50051]),
        edge("Egress", "postgres", {"app": "db"}, [5432]),
        edge("Egress", "keycloak", {"app.kubernetes.io/name": "keycloak"}, [8080]),
    }
    (dns,) = [rule for rule in shown.one("NetworkPolicy")["spec"]["egress"] if namespace_of(rule["to"][0]) == DNS]
    assert dns["ports"] == [{"port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")]


def test_the_gateways_package_speaks_for_the_backends_of_its_namespace() -> None:
    covered = [
        one
        for one in rendered(API, *COLLECTOR, "--set=tracing.pods.app=otel").one("Package")["spec"]["network"]["allow"]
        if one["selector"] == {**GATEWAY, "app.kubernetes.io/component": "backend"}
    ]
    gateway = {"app.kubernetes.io/name": "cowabungaai-api"}
    assert [(one["direction"], one["remoteNamespace"], one.get("remoteSelector"), one["ports"]) for one in covered] == [
        ("Ingress", NAMESPACE, gateway, [50051]),
        ("Ingress", "monitoring", PROMETHEUS, [9090]),
        ("Egress", "otel", {"app": "otel"}, [4317]),
    ]


def test_an_edge_of_udp_is_one_in_uds_too() -> None:
    server = '{"description":"A server","namespace":"a","ports":[8000],"protocols":["UDP","TCP"]}'
    allow = rendered(API, f"--set-json=network.egress=[{server}]").one("Package")["spec"]["network"]["allow"]
    found = {one["description"]: one.get("remoteProtocol") for one in allow if one.get("remoteNamespace") == "a"}
    assert found == {"A server": None, "A server, UDP": "UDP"}


def test_the_gateway_of_istio_that_shows_it_may_call_it() -> None:
    shown = rendered(API, "--set=expose.gateway=admin", '--set-json=clients=[{"namespace":"apps"}]')
    callers = {one for one in edges(shown) if one[0] == "Ingress" and 8080 in one[3]}
    admin = edge("Ingress", "istio-admin-gateway", {"app": "admin-ingressgateway"}, [8080])
    assert callers - {edge("Ingress", "monitoring", PROMETHEUS, [8080])} == {admin, edge("Ingress", "apps", {}, [8080])}


def test_no_two_edges_have_one_description() -> None:
    clients = ",".join(f'{{"namespace":"apps","pods":{{"app":"{name}"}}}}' for name in ("a", "b"))
    backends = '{"namespace":"","ports":[50051]},{"namespace":"","ports":[50052]},{"namespace":"other","ports":[50051]}'
    shown = rendered(API, f"--set-json=clients=[{clients}]", f"--set-json=backendNamespaces=[{backends}]")
    allow = shown.one("Package")["spec"]["network"]["allow"]
    told = [(one["direction"], one["description"]) for one in allow]
    assert len(told) == len(set(told))


def test_a_backend_in_a_namespace_of_its_own_has_a_package_of_its_own() -> None:
    shown = rendered(REPEATER, "--set=gateway.namespace=elsewhere")
    assert allowed(shown.one("Package"), "cowabungaai-repeater") == edges(shown)
    assert edge("Ingress", "elsewhere", GATEWAY, [50051]) in edges(shown)


def test_further_edges_are_added_to_both() -> None:
    server = '{"description":"A server","namespace":"vllm","pods":{"app":"vllm"},"ports":[8000]}'
    outside = '{"description":"Outside","cidr":"10.1.0.0/16","ports":[443]}'
    shown = rendered(API, f"--set-json=network.egress=[{server},{outside}]")
    wanted = {edge("Egress", "vllm", {"app": "vllm"}, [8000]), edge("Egress", "10.1.0.0/16", {}, [443])}
    assert wanted <= edges(shown)
    assert wanted <= allowed(shown.one("Package"), "cowabungaai-api")


def test_traces_need_an_edge_and_names() -> None:
    shown = rendered(REPEATER, *COLLECTOR, "--set=tracing.pods.app=otel")
    assert edge("Egress", "otel", {"app": "otel"}, [4317]) in edges(shown)
    assert shown.variables["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://collector.otel:4317"
    assert len(shown.one("NetworkPolicy")["spec"]["egress"]) == 2


@pytest.mark.parametrize(
    ("chart", "arguments", "told"),
    [
        (API, [DATABASE], "database.pods: name labels of the database's pods"),
        (API, [DATABASE, "--set=database.namespace=postgres"], "database.pods: name labels"),
        (API, [DATABASE, "--set=database.host=db.postgres.svc"], "database.pods: name labels"),
        (API, [DATABASE, "--set=database.host=10.1"], "database.pods: name labels"),
        *(
            (API, [DATABASE, f"--set=database.host={host}"], "database.pods: name labels")
            for host in ("999.1.1.1", "01.2.3.4", "10.1.2.3.", "1:2:3", "1::2::3", ":::", ":1::")
        ),
        (API, [DATABASE, "--set=database.host=postgres:5432"], "/database/host': 'postgres:5432' does not match"),
        (REPEATER, ["--set=tracing.endpoint=http://1.2.3:4317"], "tracing.pods: name labels of the collector's pods"),
        (API, COLLECTOR, "tracing.pods: name labels of the collector's pods"),
        (REPEATER, COLLECTOR, "tracing.pods: name labels of the collector's pods"),
    ],
)
def test_no_namespace_is_opened_as_a_whole(chart: str, arguments: Sequence[str], told: str) -> None:
    finished = template(chart, *arguments)
    assert finished.returncode != 0
    assert told in finished.stderr


@pytest.mark.parametrize(
    ("chart", "arguments", "addresses", "port"),
    [
        (API, [DATABASE, "--set=database.cidr=10.1.2.0/24"], "10.1.2.0/24", 5432),
        (API, [DATABASE, "--set=database.host=10.1.2.3", "--set=database.port=6432"], "10.1.2.3/32", 6432),
        (API, [DATABASE, "--set=database.host=fd00::1"], "fd00::1/128", 5432),
        *(
            (API, [DATABASE, f"--set=database.host={host}"], f"{host}/128", 5432)
            for host in ("fd00:0:0:0:0:0:0:7", "0:0:0:0:0:ffff:10.1.2.3", "::ffff:10.1.2.3", "fd00::", "::1")
        ),
        (REPEATER, ["--set=tracing.endpoint=http://10.1.2.3:4317"], "10.1.2.3/32", 4317),
        (REPEATER, [*COLLECTOR, "--set=tracing.cidr=192.0.2.0/24"], "192.0.2.0/24", 4317),
        (REPEATER, ["--set=tracing.endpoint=http://[2001:db8::1]:4317"], "2001:db8::1/128", 4317),
    ],
)
def test_an_address_is_where_it_says(chart: str, arguments: list[str], addresses: str, port: int) -> None:
    shown = rendered(chart, *arguments)
    (found,) = [one for one in edges(shown) if one[0] == "Egress" and port in one[3]]
    assert found == edge("Egress", addresses, {}, [port])


def test_a_collector_outside_that_has_a_name_is_looked_up() -> None:
    outside = "--set=tracing.cidr=192.0.2.0/24"
    for endpoint, ports in (("collector.example", [4317, 53]), ("192.0.2.7", [4317])):
        shown = rendered(REPEATER, f"--set=tracing.endpoint=http://{endpoint}:4317", outside)
        assert [one["ports"][0]["port"] for one in shown.one("NetworkPolicy")["spec"]["egress"]] == ports


def test_pods_that_are_named_count_more_than_the_address_of_what_stands_before_them() -> None:
    given = (DATABASE, "--set=database.host=10.96.0.7", "--set=database.pods.app=db")
    assert edge("Egress", NAMESPACE, {"app": "db"}, [5432]) in edges(rendered(API, *given))
    service = ("--set=tracing.endpoint=http://10.96.0.7:4317", "--set=tracing.pods.app=otel")
    assert edge("Egress", NAMESPACE, {"app": "otel"}, [4317]) in edges(rendered(REPEATER, *service))


def test_only_the_api_is_shown_outside() -> None:
    shown = rendered(API, "--set=expose.host=models")
    (exposed,) = shown.one("Package")["spec"]["network"]["expose"]
    assert (exposed["host"], exposed["gateway"], exposed["port"]) == ("models", "tenant", 8080)
    assert exposed["service"] == shown.one("Service")["metadata"]["name"]
    prefixes = {one["uri"]["prefix"] for one in exposed["advancedHTTP"]["match"]}
    assert prefixes == {"/openai/", "/cowabungaai/"}


def test_tokens_of_keycloak_are_for_the_client_that_the_gateway_expects() -> None:
    shown = rendered(API, "--set=sso.enabled=true", "--set=sso.domain=enclave.mil", "--set=sso.groups={/ai}")
    programs, people = shown.one("Package")["spec"]["sso"]
    for client in (programs, people):
        (mapper,) = client["protocolMappers"]
        assert mapper["config"]["included.client.audience"] == programs["clientId"]
        assert client["standardFlowEnabled"] is False
    assert people["publicClient"] is True
    assert people["groups"] == {"anyOf": ["/ai"]}
    assert rendered(API).one("Package")["spec"].get("sso") is None


def test_labels_that_are_given_stand_alone() -> None:
    openshift = {"namespace": "openshift-dns", "pods": {"dns": "default"}, "port": 5353}
    shown = rendered(
        API, f"--set-json=network.dns={json.dumps(openshift)}", "--set=network.monitoring.pods.app=metrics"
    )
    policy = shown.one("NetworkPolicy")["spec"]
    peers = [rule["to"][0] for rule in policy["egress"]] + [rule["from"][0] for rule in policy["ingress"]]
    labels = {namespace_of(one): one["podSelector"]["matchLabels"] for one in peers}
    assert (labels["openshift-dns"], labels["monitoring"]) == ({"dns": "default"}, {"app": "metrics"})
