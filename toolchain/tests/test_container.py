# SPDX-License-Identifier: Apache-2.0
"""What our containers may and may not."""

from __future__ import annotations

from pathlib import Path

from cowabunga.container import Container, Mount

PLAIN = Container("plain", Path("/nowhere"), ["/program"], user=65532)


def test_a_plain_container_has_no_capabilities_and_no_devices() -> None:
    bundle = PLAIN.bundle()
    assert all(not names for names in bundle["process"]["capabilities"].values())
    assert bundle["process"]["noNewPrivileges"] is True
    assert bundle["linux"]["resources"]["devices"] == [{"allow": False, "access": "rwm"}]


def test_the_root_file_system_is_read_only() -> None:
    assert PLAIN.bundle()["root"]["readonly"] is True


def test_the_network_is_its_own_unless_it_joins_one() -> None:
    assert {"type": "network"} in PLAIN.bundle()["linux"]["namespaces"]
    joined = Container("other", Path("/nowhere"), ["/program"], network=Path("/proc/1/ns/net"))
    assert {"type": "network", "path": "/proc/1/ns/net"} in joined.bundle()["linux"]["namespaces"]


def test_mounts_are_read_only_unless_asked_otherwise() -> None:
    assert "ro" in Mount(Path("/a"), "/b").oci()["options"]
    assert "rw" in Mount(Path("/a"), "/b", writable=True).oci()["options"]
