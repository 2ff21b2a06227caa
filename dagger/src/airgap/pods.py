# SPDX-License-Identifier: Apache-2.0
"""Starts what charts deploy, as a node would: each container as its pod says, by an OCI runtime.

Only what our charts use is understood, and what is not is an error: a proof must not be milder than a cluster.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airgap.images import Image, pull
from airgap.tools import ProofError, output

RUNTIME = ("crun", "--cgroup-manager=disabled")
NAMESPACES = ("pid", "ipc", "uts", "mount")
MASKED = ("/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/sched_debug", "/sys/firmware")
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
MOUNTS = (
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=64k"]},
    {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "nodev", "mode=1777"]},  # noqa: S108
)
LOG_LINES = 20
CGROUPS = "/sys/fs/cgroup"


@dataclass
class Started:
    """A running container.

    Attributes:
        name: Its pod's.
        image: That it was made of.
        process: The runtime that waits for it.
        log: What it prints.
        user: Its user and group.
    """

    name: str
    image: Image
    process: subprocess.Popen[bytes]
    log: Path
    user: str

    def tail(self) -> str:
        """The end of what it printed."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-LOG_LINES:])

    def check(self) -> None:
        """Refuse a container that ended.

        Raises:
            ProofError: It did.
        """
        if self.process.poll() is not None:
            raise ProofError(f"{self.name} ended with exit code {self.process.returncode}:\n{self.tail()}")


@dataclass
class Node:
    """Runs pods.

    Attributes:
        folder: For volumes, images and logs.
        documents: All manifests of the bundle, for what pods refer to.
        hosts: Names of Services, and their addresses.
        images: That were pulled, by their names.
        started: Running containers.
    """

    folder: Path
    documents: list[dict[str, Any]]
    hosts: dict[str, str] = field(default_factory=dict)
    images: dict[str, Image] = field(default_factory=dict)
    started: list[Started] = field(default_factory=list)

    def prepare(self) -> None:
        """Make room for logs, and show the runtime the kind of control groups that it knows."""
        (self.folder / "logs").mkdir(parents=True)
        # In this mount namespace alone; no group is made or changed.
        output("mount", "-t", "cgroup2", "cgroup2", CGROUPS)

    def image(self, reference: str) -> Image:
        """An image, pulled once.

        Args:
            reference: As pods name it.
        """
        if reference not in self.images:
            self.images[reference] = pull(reference, self.folder / "images" / str(len(self.images)))
        return self.images[reference]

    def run(self, deployment: dict[str, Any]) -> None:
        """Start the pod of a Deployment, whose network namespace has its name.

        Args:
            deployment: A manifest.

        Raises:
            ProofError: An init container failed, or the pod asks for more rights than any of ours may have.
        """
        name, spec = deployment["metadata"]["name"], deployment["spec"]["template"]["spec"]
        volumes = {volume["name"]: self._volume(name, volume, spec) for volume in spec.get("volumes", [])}
        for number, container in enumerate(spec.get("initContainers", [])):
            first = self._start(f"{name}-init-{number}", name, container, spec, volumes)
            if first.process.wait():
                raise ProofError(f"{name}: {container['name']} failed:\n{first.tail()}")
        for container in spec["containers"]:
            self.started.append(self._start(name, name, container, spec, volumes))

    def stop(self) -> None:
        """End all containers."""
        for one in self.started:
            subprocess.run([*RUNTIME, "delete", "--force", one.name], check=False, capture_output=True)
            one.process.wait()

    def find(self, kind: str, name: str) -> dict[str, Any]:
        """A manifest.

        Args:
            kind: As Kubernetes names it.
            name: Of it.

        Raises:
            ProofError: The bundle brings none.
        """
        for document in self.documents:
            if document["kind"] == kind and document["metadata"]["name"] == name:
                return document
        raise ProofError(f"a pod refers to the {kind} {name}, which the bundle does not bring")

    def _volume(self, pod: str, volume: dict[str, Any], spec: dict[str, Any]) -> Path:
        folder: Path = self.folder / "volumes" / pod / volume["name"]
        folder.mkdir(parents=True)
        if "emptyDir" in volume or "persistentVolumeClaim" in volume:
            if claim := volume.get("persistentVolumeClaim"):
                self.find("PersistentVolumeClaim", claim["claimName"])
            os.chown(folder, 0, spec["securityContext"]["fsGroup"])
            folder.chmod(0o2770)
        elif source := volume.get("configMap"):
            for key, text in self.find("ConfigMap", source["name"])["data"].items():
                (folder / key).write_text(text)
        elif source := volume.get("secret"):
            data = self.find("Secret", source["secretName"])["data"]
            for item in source.get("items") or [{"key": key, "path": key} for key in data]:
                (folder / item["path"]).write_bytes(base64.b64decode(data[item["key"]]))
        elif source := volume.get("image"):
            folder.rmdir()
            return self.image(source["reference"]).root
        else:
            raise ProofError(f"{pod}: volume {volume['name']} is of a kind that the proof does not know")
        return folder

    def _variables(self, container: dict[str, Any]) -> list[str]:
        found = []
        for variable in container.get("env", []):
            if source := variable.get("valueFrom"):
                reference = source["secretKeyRef"]
                data = self.find("Secret", reference["name"])["data"]
                value = base64.b64decode(data[reference["key"]]).decode()
            else:
                value = variable["value"]
            found.append(f"{variable['name']}={value}")
        return found

    def _start(
        self, name: str, pod: str, container: dict[str, Any], spec: dict[str, Any], volumes: dict[str, Path]
    ) -> Started:
        image = self.image(container["image"])
        bundle = self.folder / "containers" / name
        bundle.mkdir(parents=True)
        hosts = bundle / "hosts"
        hosts.write_text("127.0.0.1 localhost\n" + "".join(f"{ip} {host}\n" for host, ip in self.hosts.items()))
        user = checked_user(name, container, spec)
        mounts = [bind(hosts, "/etc/hosts", read_only=True)]
        for mount in container.get("volumeMounts", []):
            source = volumes[mount["name"]] / mount.get("subPath", "")
            mounts.append(bind(source, mount["mountPath"], read_only=mount.get("readOnly", False)))
        config = image.config
        command = container.get("command") or config.get("Entrypoint") or []
        arguments = container.get("args") or ([] if "command" in container else config.get("Cmd") or [])
        described = runtime_config(
            arguments=[*command, *arguments],
            variables=[*config.get("Env", []), *self._variables(container)],
            folder=config.get("WorkingDir") or "/",
            user=user,
            groups=[spec["securityContext"]["fsGroup"]],
            root=image.root,
            mounts=mounts,
            network=f"/var/run/netns/{pod}",
            hostname=pod,
        )
        (bundle / "config.json").write_text(json.dumps(described))
        log = self.folder / "logs" / f"{name}.log"
        with log.open("wb") as printed:
            process = subprocess.Popen(
                [*RUNTIME, "run", "--bundle", bundle, name], stdin=subprocess.DEVNULL, stdout=printed, stderr=printed
            )
        return Started(name, image, process, log, f"{user[0]}:{user[1]}")


def checked_user(name: str, container: dict[str, Any], spec: dict[str, Any]) -> tuple[int, int]:
    """The user and group of a container that asks for as few rights as ours must.

    Args:
        name: What messages call it.
        container: Of a pod.
        spec: Of that pod.

    Raises:
        ProofError: It may write to its root, keeps a capability, or is root.
    """
    both = {**spec.get("securityContext", {}), **container.get("securityContext", {})}
    wanted = {
        "readOnlyRootFilesystem": both.get("readOnlyRootFilesystem") is True,
        "runAsNonRoot": both.get("runAsNonRoot") is True and both.get("runAsUser", 0) > 0,
        "allowPrivilegeEscalation: false": both.get("allowPrivilegeEscalation") is False,
        "capabilities.drop: [ALL]": both.get("capabilities") == {"drop": ["ALL"]},
        "automountServiceAccountToken: false": spec.get("automountServiceAccountToken") is False,
    }
    if missing := [rule for rule, kept in wanted.items() if not kept]:
        raise ProofError(f"{name} has more rights than it needs: it lacks {', '.join(missing)}")
    return both["runAsUser"], both["runAsGroup"]


def bind(source: Path, destination: str, *, read_only: bool) -> dict[str, Any]:
    """A mount of a file or folder of the node.

    Args:
        source: On the node.
        destination: In the container.
        read_only: Whether the container may not write there.
    """
    options = ["rbind", "nosuid", "nodev", "ro" if read_only else "rw"]
    return {"destination": destination, "type": "bind", "source": str(source), "options": options}


def runtime_config(
    *,
    arguments: list[str],
    variables: list[str],
    folder: str,
    user: tuple[int, int],
    groups: list[int],
    root: Path,
    mounts: list[dict[str, Any]],
    network: str,
    hostname: str,
) -> dict[str, Any]:
    """The config.json of a container: no capability, a read-only root, namespaces of its own.

    Args:
        arguments: Program and arguments.
        variables: Each as NAME=VALUE.
        folder: Where it starts.
        user: User and group.
        groups: Further ones.
        root: Its files.
        mounts: Besides those that all have.
        network: Path of its network namespace.
        hostname: Its own.
    """
    nothing: dict[str, list[str]] = {
        kind: [] for kind in ("bounding", "effective", "permitted", "inheritable", "ambient")
    }
    namespaces: list[dict[str, str]] = [{"type": kind} for kind in NAMESPACES]
    return {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False,
            "user": {"uid": user[0], "gid": user[1], "additionalGids": groups},
            "args": arguments,
            "env": variables,
            "cwd": folder,
            "capabilities": nothing,
            "noNewPrivileges": True,
        },
        "root": {"path": str(root), "readonly": True},
        "hostname": hostname,
        "mounts": [*MOUNTS, *mounts],
        "linux": {
            "namespaces": [*namespaces, {"type": "network", "path": network}],
            "maskedPaths": list(MASKED),
            "readonlyPaths": list(READ_ONLY),
        },
    }
