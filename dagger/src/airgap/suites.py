# SPDX-License-Identifier: Apache-2.0
"""Asks the installed gateway what the official client asks."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen
from xml.etree import ElementTree

from airgap.tools import ProofError

READY_SECONDS = 600
TEST_SECONDS = 120
PAUSE = 0.2


@dataclass(frozen=True)
class Ran:
    """A run of the conformance suite, in counts of tests and seconds."""

    service: str
    passed: bool
    tests: int
    failures: int
    skipped: int
    seconds: float


def wait_for(what: str, ready: Callable[[], bool], check: Callable[[], None]) -> float:
    """Seconds until something is ready.

    Args:
        what: For messages.
        ready: Whether it is.
        check: Raises where it never will be.

    Raises:
        ProofError: It takes too long.
    """
    begun = time.monotonic()
    while time.monotonic() - begun < READY_SECONDS:
        check()
        if ready():
            return time.monotonic() - begun
        time.sleep(PAUSE)
    raise ProofError(f"{what} is not ready after {READY_SECONDS} s")


def listens(address: str, port: int) -> bool:
    """Whether something takes connections.

    Args:
        address: Of a pod.
        port: That it listens on.
    """
    try:
        with socket.create_connection((address, port), timeout=1):
            return True
    except OSError:
        return False


def answers(url: str, key: str) -> bool:
    """Whether a request is answered with 200.

    Args:
        url: Of the gateway.
        key: An API key.
    """
    request = Request(url, headers={"Authorization": f"Bearer {key}"})  # noqa: S310 - a pod of ours
    try:
        with urlopen(request, timeout=5):  # noqa: S310
            return True
    except (HTTPError, OSError):
        return False


def conformance(suite: Path, base_url: str, key: str, service: str, out: Path, *, exact: bool) -> Ran:
    """Run the suite against a backend, as the gateway shows it.

    Args:
        suite: The folder with the tests.
        base_url: Of the gateway.
        key: That may do everything.
        service: The backend; its model has its name.
        out: Gets junit.xml, pytest.txt and conformance.json.
        exact: Whether it answers with what it is asked.
    """
    out.mkdir(parents=True, exist_ok=True)
    junit = out / "junit.xml"
    variables = {
        "COWABUNGAAI_BASE_URL": base_url,
        "COWABUNGAAI_MODEL": service,
        "COWABUNGAAI_EXACT": "1" if exact else "0",
        "COWABUNGAAI_REPORT": str(out / "conformance.json"),
        "COWABUNGAAI_API_KEY": key,
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--junit-xml={junit}", "-ra", "--tb=short"]
    with (out / "pytest.txt").open("wb") as printed:
        code = subprocess.run(
            [*command, "--strict-markers", f"--timeout={TEST_SECONDS}", str(suite)],
            env={**os.environ, **variables},
            cwd=out,
            stdout=printed,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode
    if not junit.is_file():
        raise ProofError(f"the suite did not run against {service}:\n{(out / 'pytest.txt').read_text()[-2000:]}")
    found = list(ElementTree.parse(junit).iter("testsuite"))  # noqa: S314 - made by our own run

    def count(attribute: str) -> int:
        return sum(int(one.attrib.get(attribute, 0)) for one in found)

    return Ran(
        service,
        code == 0,
        count("tests"),
        count("failures") + count("errors"),
        count("skipped"),
        round(sum(float(one.attrib.get("time", 0)) for one in found), 1),
    )


def as_dict(ran: Ran) -> dict[str, Any]:
    """A run, for the report."""
    return asdict(ran)
