# SPDX-License-Identifier: Apache-2.0
"""Ports for servers of tests and benchmarks."""

from __future__ import annotations

import socket


def free_port() -> int:
    """A port of the loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
