# SPDX-License-Identifier: Apache-2.0
"""`python -m airgap.prove BUNDLE OUT SUITE [--exact SERVICE]...`: install a bundle without a network, and ask it.

OUT gets proof.json, also where the proof fails, a folder for each backend's run of the suite, and logs/ of all
containers.
Exit codes: 0 it is installed and answers, 1 it is not.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from airgap import images
from airgap.charts import manifests
from airgap.network import Network, check
from airgap.pods import Node
from airgap.suites import answers, as_dict, conformance, listens, wait_for
from airgap.tools import ProofError, by_kind
from airgap.unpack import Package, unpack

GATEWAY_PORT = "http"


@dataclass
class Proof:
    """What is proved so far, in the form of proof.json."""

    told: dict[str, Any] = field(default_factory=lambda: {"schema_version": 1, "passed": False, "failure": ""})
    begun: float = field(default_factory=time.monotonic)

    def step(self, what: str) -> None:
        """Tell what begins, and when."""
        print(f"[{time.monotonic() - self.begun:6.1f} s] {what}", flush=True)
        self.told.setdefault("steps", []).append({"at": round(time.monotonic() - self.begun, 1), "step": what})

    def prove(self, bundle: Path, out: Path, suite: Path, exact: list[str], scratch: Path) -> None:
        """All of it.

        Args:
            bundle: The file that uds made.
            out: Gets the suites' reports.
            suite: The folder with the tests.
            exact: Backends that answer with what they are asked.
            scratch: A folder for everything else.

        Raises:
            ProofError: The bundle is not installed, or a test fails.
        """
        self.step("a network without a way out")
        network = Network()
        self.step(f"unpacking {bundle.name}")
        with bundle.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        definition, packages = unpack(bundle, scratch)
        self.told["bundle"] = {
            "name": definition["metadata"]["name"],
            "version": definition["metadata"]["version"],
            "file": bundle.name,
            "size": bundle.stat().st_size,
            "sha256": digest,
        }
        with images.registry(scratch / "registry"):
            for package in packages:
                self.step(f"images of {package.name} {package.definition['metadata']['version']}")
                images.mirror(package, scratch / "mirror")
            documents = self._documents(packages, scratch)
            node = Node(scratch / "node", documents)
            node.prepare()
            try:
                self._install(node, network, packages)
                self._ask(node, suite, out, exact)
            finally:
                node.stop()
                shutil.copytree(scratch / "node/logs", out / "logs", dirs_exist_ok=True)
                self.told["network"] = {"unreachable": network.unreachable, "namespaces": network.evidence()}
                network.close()
        judge(self.told)

    def _documents(self, packages: list[Package], scratch: Path) -> list[dict[str, Any]]:
        documents = []
        for package in packages:
            documents += manifests(package, scratch / "charts" / package.name)
        return documents

    def _install(self, node: Node, network: Network, packages: list[Package]) -> None:
        deployments = by_kind(node.documents, "Deployment", "StatefulSet")
        addresses = {one["metadata"]["name"]: network.add(one["metadata"]["name"]) for one in deployments}
        for service in by_kind(node.documents, "Service"):
            for deployment in deployments:
                labels = deployment["spec"]["template"]["metadata"]["labels"]
                if service["spec"]["selector"].items() <= labels.items():
                    node.hosts[service["metadata"]["name"]] = addresses[deployment["metadata"]["name"]]
        for deployment in deployments:
            name = deployment["metadata"]["name"]
            self.step(f"starting {name}")
            node.run(deployment)
            ports = [
                port["containerPort"]
                for one in deployment["spec"]["template"]["spec"]["containers"]
                for port in one["ports"]
            ]
            running = node.started[-1]
            seconds = wait_for(name, partial(listens, addresses[name], ports[0]), running.check)
            self.told.setdefault("pods", []).append(
                {
                    "name": name,
                    "image": running.image.reference,
                    "digest": running.image.digest,
                    "user": running.user,
                    "seconds": round(seconds, 1),
                }
            )
        # Pods name digests besides, packages do not.
        pulled = {reference.partition("@")[0]: image for reference, image in node.images.items()}
        self.told["packages"] = [
            {
                "name": package.name,
                "version": package.definition["metadata"]["version"],
                "digest": package.digest,
                "images": [
                    {"reference": one, "digest": pulled[one].digest if one in pulled else ""} for one in package.images
                ],
            }
            for package in packages
        ]
        if idle := [image for package in packages for image in package.images if image not in pulled]:
            raise ProofError(f"the bundle brings images that no pod uses: {', '.join(idle)}")

    def _ask(self, node: Node, suite: Path, out: Path, exact: list[str]) -> None:
        services = by_kind(node.documents, "Service")
        gateway = next((one for one in services if one["spec"]["ports"][0]["name"] == GATEWAY_PORT), None)
        if gateway is None:
            raise ProofError("the bundle brings no gateway: nothing of it can be asked")
        port = gateway["spec"]["ports"][0]["port"]
        url = f"http://{node.hosts[gateway['metadata']['name']]}:{port}"
        key = admin_key(node)
        config = next(
            one["data"]["models.yaml"] for one in by_kind(node.documents, "ConfigMap") if "models.yaml" in one["data"]
        )
        backends = list(json.loads(config)["backends"])
        if not backends:
            raise ProofError("the bundle brings no backend: there is no model to ask")

        def check() -> None:
            for one in node.started:
                one.check()

        self.step("waiting for the gateway")
        wait_for("the gateway", lambda: answers(f"{url}/readyz", key), check)
        self.told["suites"] = []
        for backend in backends:
            self.step(f"the official client asks {backend}")
            ran = conformance(suite, f"{url}/openai/v1", key, backend, out / backend, exact=backend in exact)
            self.told["suites"].append(as_dict(ran))
            if ran.tests <= ran.skipped:
                raise ProofError(f"no test of the suite was for {backend}; see its pytest.txt")
            print(
                f"            {ran.tests} tests, {ran.failures} failed, {ran.skipped} skipped, {ran.seconds} s",
                flush=True,
            )
            check()


def judge(told: Mapping[str, Any]) -> None:
    """Refuse what was told once everything had run.

    Args:
        told: In the form of proof.json; of it the networks' evidence and the suites.

    Raises:
        ProofError: Something looked for a way out, or the suite fails for a backend.
    """
    check(told["network"]["namespaces"])
    if failed := [ran["service"] for ran in told["suites"] if not ran["passed"]]:
        raise ProofError(f"the suite fails for {', '.join(failed)}; see its pytest.txt")


def admin_key(node: Node) -> str:
    """The key that the gateway's chart made.

    Args:
        node: Where it is deployed.
    """
    for secret in by_kind(node.documents, "Secret"):
        if "admin-key" in secret.get("data", {}):
            return base64.b64decode(secret["data"]["admin-key"]).decode()
    raise ProofError("the gateway's chart made no key")


def main() -> int:
    """Prove, and write the report.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("suite", type=Path)
    parser.add_argument("--exact", action="append", default=[], metavar="SERVICE")
    parser.add_argument("--scratch", type=Path, help="an empty folder for images and volumes")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    proof = Proof()
    with tempfile.TemporaryDirectory(dir=given.scratch, prefix="airgap-") as scratch:
        try:
            proof.prove(given.bundle.resolve(), given.out.resolve(), given.suite.resolve(), given.exact, Path(scratch))
            proof.told["passed"] = True
        except ProofError as error:
            proof.told["failure"] = str(error)
            print(f"not proved: {error}", file=sys.stderr)
    proof.told["seconds"] = round(time.monotonic() - proof.begun, 1)
    (given.out / "proof.json").write_text(json.dumps(proof.told, indent=2) + "\n")
    return 0 if proof.told["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
