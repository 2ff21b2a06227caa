# SPDX-License-Identifier: Apache-2.0
"""What the integration tests share: how programs are run, and what build-all leaves."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CHECKOUT = Path(__file__).parents[2]
SERVICES = sorted(path.parent.name for path in (CHECKOUT / "services").glob("*/service.yaml"))


def described(service: str) -> dict[str, Any]:
    """What a service's service.yaml says."""
    found: dict[str, Any] = yaml.safe_load((CHECKOUT / "services" / service / "service.yaml").read_text())
    return found


# What build-all builds where it is not told another flavor.
CPU_SERVICES = [service for service in SERVICES if "cpu" in described(service)["flavors"]]
WITH_MODELS = [service for service in SERVICES if described(service).get("model")]
# The services of the release that tests make, and what is attached to it.
RELEASED = ("repeater", "api")
ATTACHED = '{"images": []}\n'
Run = Callable[..., subprocess.CompletedProcess[str]]


@dataclass(frozen=True)
class Built:
    """What build-all left: the folder and its report."""

    folder: Path
    report: dict[str, Any]

    def row(self, service: str) -> dict[str, Any]:
        """A service's line of the report."""
        found: dict[str, Any] = next(row for row in self.report["services"] if row["service"] == service)
        return found

    def archive(self, service: str) -> Path:
        """A service's OCI archive."""
        return self.folder / "images" / f"{service}.tar"


@dataclass(frozen=True)
class Released:
    """A release, the public key that an operator has, and what only who signs may see.

    Attributes:
        folder: The release.
        public: The public key's file.
        private: The private key's.
        password: Of it.
        told: All that the call printed, and all that collectors of traces got of it.
    """

    folder: Path
    public: Path
    private: Path
    password: str
    told: bytes

    @property
    def bundle(self) -> Path:
        """The only bundle."""
        (found,) = (self.folder / "bundles").glob("*.tar.zst")
        return found


def statement(bundle: Path) -> dict[str, Any]:
    """The in-toto statement in a signed provenance."""
    payload = json.loads(bundle.read_text())["dsseEnvelope"]["payload"]
    read: dict[str, Any] = json.loads(base64.b64decode(payload))
    return read


def exported(dagger: Run, folder: Path, *call: str | Path) -> Path:
    """Let the module make a bundle; its file, beside its settings."""
    finished = dagger("call", *call, "export", "--path", folder)
    assert finished.returncode == 0, finished.stderr
    (file,) = folder.glob("uds-bundle-*.tar.zst")
    return file


def run_program(
    program: str, *arguments: str | Path, cwd: Path = CHECKOUT, timeout: float = 2400
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env=dict(os.environ),
    )
