# SPDX-License-Identifier: Apache-2.0
"""The programs of airgap-proof are no milder than a cluster, and refuse bundles that are not whole."""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from airgap import charts, images, network, pods, prove, unpack
from airgap.tools import ProofError

CONTAINER: dict[str, Any] = {
    "name": "x",
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
    },
}
SPEC: dict[str, Any] = {
    "automountServiceAccountToken": False,
    "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532},
}
SNMP = """Ip: Forwarding DefaultTTL InReceives OutDiscards OutNoRoutes ReasmTimeout
Ip: 1 64 100 0 7 0
Tcp: RtoAlgorithm
Tcp: 1
Udp: InDatagrams NoPorts InErrors
Udp: 50 3 0
UdpLite: InDatagrams NoPorts InErrors
UdpLite: 0 9 0
"""
CLOSED = {"namespace": "api", "interfaces": ["lo"], "routes": ["10.77.0.0/24"], "unroutable": 0, "lookups": 0}


def test_a_container_that_asks_for_little_is_started_as_its_user() -> None:
    assert pods.checked_user("x", CONTAINER, SPEC) == (65532, 65532)


@pytest.mark.parametrize(
    ("where", "name", "value", "rule"),
    [
        ("container", "readOnlyRootFilesystem", False, "readOnlyRootFilesystem"),
        ("container", "allowPrivilegeEscalation", True, "allowPrivilegeEscalation"),
        ("container", "capabilities", {"drop": ["ALL"], "add": ["NET_RAW"]}, "capabilities"),
        ("container", "capabilities", {"drop": ["NET_RAW"]}, "capabilities"),
        ("container", "runAsNonRoot", False, "runAsNonRoot"),
        ("pod", "runAsUser", 0, "runAsNonRoot"),
    ],
)
def test_a_container_that_asks_for_more_is_refused(where: str, name: str, value: Any, rule: str) -> None:
    container, spec = copy.deepcopy(CONTAINER), copy.deepcopy(SPEC)
    (container if where == "container" else spec)["securityContext"][name] = value
    with pytest.raises(ProofError, match=rule):
        pods.checked_user("x", container, spec)


def test_a_token_of_the_cluster_is_refused() -> None:
    with pytest.raises(ProofError, match="automountServiceAccountToken"):
        pods.checked_user("x", CONTAINER, {**SPEC, "automountServiceAccountToken": True})


def test_a_container_has_no_capability_and_a_read_only_root(tmp_path: Path) -> None:
    config = pods.runtime_config(
        arguments=["a"],
        variables=[],
        folder="/",
        user=(65532, 65532),
        groups=[],
        root=tmp_path,
        mounts=[],
        network="/n",
        hostname="x",
    )
    assert set(map(tuple, config["process"]["capabilities"].values())) == {()}
    assert config["process"]["noNewPrivileges"] is True
    assert config["root"]["readonly"] is True
    assert {one["type"] for one in config["linux"]["namespaces"]} == {"pid", "ipc", "uts", "mount", "network"}


def test_a_pod_that_refers_to_what_the_bundle_lacks_is_told(tmp_path: Path) -> None:
    with pytest.raises(ProofError, match="refers to the Secret key, which the bundle does not bring"):
        pods.Node(tmp_path, []).find("Secret", "key")


def test_an_unknown_volume_is_refused(tmp_path: Path) -> None:
    deployment = {
        "metadata": {"name": "x"},
        "spec": {"template": {"spec": {**SPEC, "containers": [], "volumes": [{"name": "v", "hostPath": {}}]}}},
    }
    with pytest.raises(ProofError, match="volume v is of a kind that the proof does not know"):
        pods.Node(tmp_path, []).run(deployment)


def blob(folder: Path, content: bytes) -> str:
    digest = hashlib.sha256(content).hexdigest()
    path = folder / "blobs/sha256" / digest
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return f"sha256:{digest}"


def test_a_blob_is_what_its_digest_says(tmp_path: Path) -> None:
    digest = blob(tmp_path, b"{}")
    layout = unpack.Layout(tmp_path)
    assert layout.read(digest) == {}
    layout.blob(digest).write_bytes(b"[]")
    with pytest.raises(ProofError, match="damaged"):
        layout.blob(digest)
    with pytest.raises(ProofError, match="lacks the blob"):
        layout.blob("sha256:" + "0" * 64)


def test_a_package_cannot_name_files_outside_of_it(tmp_path: Path) -> None:
    content = blob(tmp_path, b"x")
    manifest = {"layers": [{"digest": content, "annotations": {unpack.TITLE: "../../outside"}}]}
    digest = blob(tmp_path, json.dumps(manifest).encode())
    with pytest.raises(ProofError, match="outside of its package"):
        unpack._lay_out(unpack.Layout(tmp_path), digest, tmp_path / "package")


def test_values_get_zarfs_variables() -> None:
    package = {"variables": [{"name": "SECRET", "default": "x"}], "constants": [{"name": "N", "value": "1"}]}
    assert charts.with_variables("a: ###ZARF_VAR_SECRET###\nb: ###ZARF_CONST_N###", package) == "a: x\nb: 1"


def test_a_bundles_settings_are_its_values_and_its_variables_defaults() -> None:
    entry = {
        "overrides": {
            "api": {
                "chart": {
                    "values": [{"path": "models", "value": []}],
                    "variables": [{"name": "R", "path": "replicas", "default": 1}, {"name": "D", "path": "domain"}],
                }
            }
        }
    }
    assert list(charts.settings(entry, "api", "chart")) == [("models", []), ("replicas", 1)]


def test_packets_for_elsewhere_are_counted() -> None:
    assert network.counted(SNMP, "Ip6InReceives 3\nIp6OutNoRoutes 2\nUdp6NoPorts 1\n") == (9, 4)
    assert network.counted(SNMP, "") == (7, 3), "a kernel without IPv6"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"routes": ["10.77.0.0/24", "default"]}, "api has a way out: default"),
        ({"unroutable": 2}, "api tried to send 2 packets elsewhere"),
        ({"lookups": 4}, "api asked 4 times for names that no pod has"),
    ],
)
def test_what_looks_for_a_way_out_is_no_proof(changed: dict[str, Any], message: str) -> None:
    network.check([CLOSED])
    with pytest.raises(ProofError, match=message):
        network.check([{**CLOSED, "namespace": "node"}, {**CLOSED, **changed}])


def told(suites: dict[str, bool], **namespace: Any) -> dict[str, Any]:
    """A proof that has run, by what became of each backend's suite."""
    return {
        "network": {"unreachable": [], "namespaces": [{**CLOSED, "namespace": "node"}, {**CLOSED, **namespace}]},
        "suites": [{"service": service, "passed": passed} for service, passed in suites.items()],
    }


def test_a_proof_is_refused_for_each_backend_that_fails_and_for_a_way_out() -> None:
    prove.judge(told({"repeater": True, "whisper": True}))
    with pytest.raises(ProofError, match=r"^the suite fails for repeater, vllm; see its pytest\.txt$"):
        prove.judge(told({"repeater": False, "whisper": True, "vllm": False}))
    with pytest.raises(ProofError, match="api has a way out: default"):
        prove.judge(told({"repeater": True}, routes=["default"]))


def of_one_link(*command: str) -> str:
    """What `ip` answers in a namespace that has nothing yet."""
    return '[{"ifname": "lo"}]' if command[-1] == "link" else ""


@pytest.fixture
def counters(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The kernel's counters, whatever kernel runs the tests."""
    files = tmp_path / "snmp", tmp_path / "snmp6"
    for file, content in zip(files, (SNMP, "Ip6OutNoRoutes 2\n"), strict=True):
        file.write_text(content)
    monkeypatch.setattr(network, "COUNTERS", tuple(map(str, files)))


@pytest.mark.usefixtures("counters")
def test_a_network_without_a_way_out_tells_what_it_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []
    monkeypatch.setattr(network, "output", of_one_link)
    monkeypatch.setattr(network, "reachable", tried.append)
    made = network.Network()
    assert made.unreachable == tried == list(network.OUTSIDE)
    assert {":" in address for address in tried} == {True, False}, "by IPv6, too"


@pytest.mark.usefixtures("counters")
def test_a_network_from_which_something_can_be_reached_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "output", of_one_link)
    monkeypatch.setattr(network, "reachable", lambda address: address == network.OUTSIDE[-1])
    with pytest.raises(ProofError, match=rf"something outside can be reached: \['{network.OUTSIDE[-1]}'\]"):
        network.Network()


def test_a_network_that_others_use_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []

    def output(*command: str) -> str:
        asked.append(command)
        return '[{"ifname": "lo"}, {"ifname": "eth0"}]'

    monkeypatch.setattr(network, "output", output)
    monkeypatch.setattr(network, "reachable", lambda _: False)
    with pytest.raises(ProofError, match="needs a network namespace of its own; this one has lo, eth0"):
        network.Network()
    assert [command[-1] for command in asked] == ["link"], "nothing is changed there"


def test_what_the_system_sends_and_what_it_does_not_is_known() -> None:
    assert network.reachable("127.0.0.1")
    # Nobody may send to all without asking for it first.
    assert not network.reachable("255.255.255.255")


GATEWAY = {
    "kind": "Service",
    "metadata": {"name": "gateway"},
    "spec": {"ports": [{"name": "http", "port": 8080}]},
}
ROUTES = {"kind": "ConfigMap", "data": {"models.yaml": '{"models": [], "backends": {}}'}}
KEY = {"kind": "Secret", "data": {"admin-key": "a2V5"}}


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ([], "brings no gateway"),
        ([GATEWAY, ROUTES, KEY], "brings no backend"),
    ],
)
def test_a_bundle_of_which_nothing_can_be_asked_is_no_proof(
    tmp_path: Path, documents: list[dict[str, Any]], message: str
) -> None:
    node = pods.Node(tmp_path, documents)
    node.hosts["gateway"] = "10.77.0.2"
    with pytest.raises(ProofError, match=message):
        prove.Proof()._ask(node, tmp_path, tmp_path, [])


def test_images_are_pulled_from_this_node() -> None:
    assert images.here("ghcr.io/cowabungaai/api:1") == "127.0.0.1:5000/cowabungaai/api:1"
