# SPDX-License-Identifier: Apache-2.0
"""The way that the project's predecessor took for one service: docker build, docker push, zarf package create.

Docker's daemon is one of its own: its data is in a folder that goes with it; it makes no bridge and no firewall rule.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from bench.pipeline import HERE
from cowabunga import gotools, host, images
from cowabunga.errors import HostError, JobError
from shared.registries import Registry, running_registry

START_SECONDS = 60
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
# Whom this machine trusts and where its packages come from; what wheels need, and what compiles those that have none.
BASES = """FROM plain AS base
COPY authorities.crt /etc/ssl/certs/ca-certificates.crt
COPY sources.list /etc/apt/sources.list
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
RUN apt-get update && apt-get install --yes --no-install-recommends libgomp1 libstdc++6 && rm -r /var/lib/apt/lists/*

FROM base AS development
RUN apt-get update && apt-get install --yes --no-install-recommends g++ make
"""


@dataclass(frozen=True)
class Predecessor:
    """What is needed for the way of the predecessor.

    Attributes:
        folder: For the package and its description.
        environment: In which docker finds its daemon.
        registry: On this machine, as docker may push to it without TLS.
        zarf: The program.
    """

    folder: Path
    environment: dict[str, str]
    registry: Registry
    zarf: Path

    def package(self, checkout: Path, service: str) -> float:
        """Build a service's image, push it, make a package of it without weights; seconds.

        Args:
            checkout: With the sources.
            service: Its name.

        Raises:
            JobError: A step failed.
        """
        reference = f"{self.registry.host}/{service}:0.1.0"
        described = {
            "kind": "ZarfPackageConfig",
            "metadata": {"name": service, "version": "0.1.0"},
            "components": [
                {
                    "name": service,
                    "required": True,
                    "images": [reference],
                    "charts": [
                        {
                            "name": service,
                            "namespace": "cowabungaai",
                            "version": "0.1.0",
                            "localPath": str(checkout / "packages" / service / "chart"),
                        }
                    ],
                }
            ],
        }
        package = self.folder / "package"
        shutil.rmtree(package, ignore_errors=True)
        package.mkdir()
        (package / "zarf.yaml").write_text(yaml.safe_dump(described))
        module = yaml.safe_load((checkout / "services" / service / "service.yaml").read_text())["package"]
        given = {"BASE": "base", "DEVELOPMENT": "development", "SERVICE": service, "PACKAGE": module}
        arguments = [f"--build-arg={name}={value}" for name, value in given.items()]
        begun = time.perf_counter()
        build = ["docker", "build", "--quiet", "--network=host", *arguments, f"--tag={reference}"]
        self.run(*build, f"--file={HERE / 'predecessor' / 'Dockerfile'}", str(checkout))
        self.run("docker", "push", "--quiet", reference)
        create = [str(self.zarf), "package", "create", str(package), "--confirm", "--no-color", "--plain-http"]
        self.run(*create, f"--output={package}", f"--zarf-cache={self.folder / 'zarf-cache'}")
        return time.perf_counter() - begun

    def run(self, *command: str) -> None:
        """Run a program that must succeed.

        Raises:
            JobError: It did not.
        """
        finished = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        if finished.returncode:
            told = "\n".join((finished.stdout + finished.stderr).splitlines()[-20:])
            raise JobError(f"{' '.join(command[:3])} ended with {finished.returncode}:\n{told}")


@contextmanager
def ready(folder: Path, zarf: Path) -> Iterator[Predecessor]:
    """A daemon, a registry and the base image; all of it ends with the context.

    Args:
        folder: An empty one.
        zarf: The program.

    Raises:
        HostError: There is no docker on this machine.
        JobError: The daemon does not start, or the base image cannot be loaded.
    """
    if shutil.which("dockerd") is None or shutil.which("docker") is None:
        raise HostError("this machine has no docker, which the predecessor's way needs", "apt-get install docker.io")
    socket = f"unix://{folder / 'docker.sock'}"
    # Debian's client first: it has BuildKit built in, where a newer one needs a component of its own.
    path = f"/usr/bin:{os.environ['PATH']}"
    variables = {"DOCKER_HOST": socket, "DOCKER_BUILDKIT": "1", "DOCKER_CONFIG": str(folder), "PATH": path}
    environment = {**os.environ, **variables}
    log = folder / "dockerd.log"
    places = {"data-root": "data", "exec-root": "exec", "pidfile": "docker.pid"}
    options = [f"--{name}={folder / place}" for name, place in places.items()]
    network = ["--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"]
    with log.open("w") as sink:
        daemon = subprocess.Popen(["dockerd", f"--host={socket}", *options, *network], stdout=sink, stderr=sink)
    try:
        _wait(daemon, environment, log)
        with running_registry(gotools.ensure("registry") / "registry", folder / "registry") as registry:
            predecessor = Predecessor(folder, environment, registry, zarf)
            _make_bases(predecessor)
            yield predecessor
    finally:
        daemon.terminate()
        daemon.wait(START_SECONDS)


def _make_bases(predecessor: Predecessor) -> None:
    """The images `base` and `development`, of the same Debian packages as the module's, with the machine's mirrors."""
    python, machine = images.load("python"), host.mirrors()
    variables = [*python.config.get("Env", []), *(f"{name}={value}" for name, value in machine.environment.items())]
    settings = [f"--change=ENV {variable}" for variable in variables]
    # Debian's docker reads no layers of zstd, so it takes the root file system as it is.
    predecessor.run("docker", "import", *settings, str(images.root_tar(python)), "plain")
    (folder := predecessor.folder / "bases").mkdir()
    shutil.copy(AUTHORITIES, folder / "authorities.crt")
    (folder / "sources.list").write_text(images.sources_list(python.suite, machine))
    (folder / "Dockerfile").write_text(BASES)
    for name in ("base", "development"):
        build = ("docker", "build", "--quiet", "--network=host", f"--target={name}", f"--tag={name}")
        predecessor.run(*build, str(folder))


def _wait(daemon: subprocess.Popen[bytes], environment: dict[str, str], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while subprocess.run(["docker", "version"], env=environment, capture_output=True, check=False).returncode:
        if daemon.poll() is not None or time.monotonic() > deadline:
            tail = "\n".join(log.read_text().splitlines()[-10:])
            raise JobError(f"dockerd did not start:\n{tail}")
        time.sleep(0.2)
