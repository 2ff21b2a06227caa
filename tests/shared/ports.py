# SPDX-License-Identifier: Apache-2.0
"""Ports for servers of tests and benchmarks."""

from __future__ import annotations

import socket
from pathlib import Path


def free_port() -> int:
    """A port of the loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listening(port: int) -> set[str]:
    """Addresses of this network at which something listens on a port, as the kernel writes them: 0100007F is 127.0.0.1.

    Args:
        port: TCP port.
    """
    text = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    places = [words[1].split(":") for line in text.splitlines() if (words := line.split())[3] == "0A"]
    return {address for address, number in places if int(number, 16) == port}
