# SPDX-License-Identifier: Apache-2.0
"""A network of pods that has no way out, and what shows that nothing went out."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from airgap.tools import ProofError, output

BRIDGE = "pods"
NODE = "10.77.0.1"
POD = "10.77.0.{}"
FIRST = 10
# Addresses of documentation, and two that many programs would ask.
OUTSIDE = ("192.0.2.1", "2001:db8::1", "1.1.1.1", "8.8.8.8")
# Packets that were to go where no route leads, as the kernel counts them: of IPv4 as a column, of IPv6 as a line.
COUNTERS = ("/proc/net/snmp", "/proc/net/snmp6")
NO_ROUTE, NO_ROUTE6 = "OutNoRoutes", "Ip6OutNoRoutes"
# Datagrams for a port at which nothing listens. A pod has no name server, and asks for names at its own loopback.
NO_PORT, NO_PORT6 = "NoPorts", "Udp6NoPorts"
KNOWN_KINDS = {"bridge", "veth", ""}


@dataclass(frozen=True)
class Evidence:
    """What a network namespace tells of its way out.

    Attributes:
        namespace: Its name.
        interfaces: Of it.
        routes: Destinations that it knows.
        unroutable: Packets that were to go where no route leads.
        lookups: Datagrams that nothing took, as those that ask for a name.
    """

    namespace: str
    interfaces: list[str]
    routes: list[str]
    unroutable: int
    lookups: int


class Network:
    """The network of one proof."""

    def __init__(self) -> None:
        self._pods: dict[str, str] = {}
        before = [link["ifname"] for link in _links()]
        if before != ["lo"]:
            raise ProofError(f"the proof needs a network namespace of its own; this one has {', '.join(before)}")
        output("ip", "link", "set", "lo", "up")
        output("ip", "link", "add", BRIDGE, "type", "bridge")
        output("ip", "address", "add", f"{NODE}/24", "dev", BRIDGE)
        output("ip", "link", "set", BRIDGE, "up")
        self.unreachable = [address for address in OUTSIDE if not reachable(address)]
        if len(self.unreachable) != len(OUTSIDE):
            raise ProofError(f"something outside can be reached: {sorted(set(OUTSIDE) - set(self.unreachable))}")
        # What the attempts just made count for.
        self._asked = counted(*(Path(file).read_text() for file in COUNTERS))

    def add(self, pod: str) -> str:
        """A namespace for a pod, connected with the others alone; its address.

        Args:
            pod: Its name.
        """
        address = POD.format(FIRST + len(self._pods))
        inside, outside = "eth0", f"veth{len(self._pods)}"
        output("ip", "netns", "add", pod)
        output("ip", "link", "add", outside, "type", "veth", "peer", "name", inside, "netns", pod)
        output("ip", "link", "set", outside, "master", BRIDGE, "up")
        for command in (
            ["link", "set", "lo", "up"],
            ["address", "add", f"{address}/24", "dev", inside],
            ["link", "set", inside, "up"],
        ):
            output("ip", "-n", pod, *command)
        self._pods[pod] = address
        return address

    def close(self) -> None:
        """Remove the namespaces of all pods."""
        for pod in self._pods:
            output("ip", "netns", "delete", pod)

    def evidence(self) -> list[dict[str, Any]]:
        """What the node and every pod tell of their ways out."""
        return [asdict(_evidence("node", self._asked)), *(asdict(_evidence(pod, (0, 0))) for pod in self._pods)]


def _links(pod: str = "") -> list[dict[str, Any]]:
    namespace = ["-n", pod] if pod else []
    links: list[dict[str, Any]] = json.loads(output("ip", *namespace, "-json", "-details", "link"))
    return links


def _evidence(name: str, before: tuple[int, int]) -> Evidence:
    namespace = [] if name == "node" else ["-n", name]
    inside = [] if name == "node" else ["ip", "netns", "exec", name]
    links = _links("" if name == "node" else name)
    if strange := [
        link["ifname"] for link in links if link.get("linkinfo", {}).get("info_kind", "") not in KNOWN_KINDS
    ]:
        raise ProofError(f"{name} has an interface of which the proof does not know: {', '.join(strange)}")
    routes = [
        route["dst"]
        for family in ("-4", "-6")
        for route in json.loads(output("ip", *namespace, family, "-json", "route") or "[]")
        # Of its own link alone.
        if not route["dst"].startswith("fe80:")
    ]
    packets, lookups = counted(*(output(*inside, "cat", file) for file in COUNTERS))
    return Evidence(name, [link["ifname"] for link in links], routes, packets - before[0], lookups - before[1])


def check(evidence: Sequence[Mapping[str, Any]]) -> None:
    """Refuse evidence of a way out, and of what tried to find one.

    Args:
        evidence: As `Network.evidence` gives it.

    Raises:
        ProofError: A namespace has a way out, or something in it tried to send elsewhere.
    """
    for one in evidence:
        if out := [route for route in one["routes"] if not route.startswith("10.77.0.")]:
            raise ProofError(f"{one['namespace']} has a way out: {', '.join(out)}")
        if one["unroutable"]:
            raise ProofError(f"{one['namespace']} tried to send {one['unroutable']} packets elsewhere; see its log")
        if one["lookups"]:
            raise ProofError(f"{one['namespace']} asked {one['lookups']} times for names that no pod has; see its log")


def counted(snmp: str, snmp6: str) -> tuple[int, int]:
    """Packets that were to go where no route leads, and datagrams that nothing took.

    Args:
        snmp: The content of /proc/net/snmp.
        snmp6: The content of /proc/net/snmp6.
    """
    six = dict(line.split() for line in snmp6.splitlines())

    def of_both(protocol: str, column: str, line: str) -> int:
        names, values = (words.split() for words in snmp.splitlines() if words.startswith(f"{protocol}:"))
        return int(values[names.index(column)]) + int(six.get(line, 0))

    return of_both("Ip", NO_ROUTE, NO_ROUTE6), of_both("Udp", NO_PORT, NO_PORT6)


def reachable(address: str) -> bool:
    """Whether anything can be sent to an address.

    Args:
        address: An IP address.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect((address, 53))
        except OSError:
            return False
    return True
