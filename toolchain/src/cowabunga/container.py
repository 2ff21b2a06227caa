# SPDX-License-Identifier: Apache-2.0
"""Runs a container with runc: an OCI bundle of our own, and its network by slirp4netns.

The container has its own network namespace whose one interface ends in a user-space process, so the machine gets no
bridge, no address, no route and no firewall rule, and its loopback is not reachable from inside.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cowabunga.errors import EngineError, HostError
from cowabunga.paths import make_run_home, run_home
from cowabunga.process import capture, need

# slirp4netns' own defaults: the container's name server, which forwards to the machine's.
NAME_SERVER = "10.0.2.3"
CGROUPS = Path("/sys/fs/cgroup")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Mount:
    """A bind mount of a file or directory."""

    source: Path
    target: str
    writable: bool = False

    def oci(self) -> dict[str, Any]:
        """The mount in the terms of the OCI runtime specification."""
        mode = "rw" if self.writable else "ro"
        return {"destination": self.target, "type": "bind", "source": str(self.source), "options": ["rbind", mode]}


@dataclass(frozen=True)
class Container:
    """What runs and what it may.

    Attributes:
        name: Unique on the machine.
        rootfs: Its root file system; stays as it is.
        arguments: Program and arguments.
        mounts: Bind mounts.
        environment: NAME=value.
        capabilities: CAP_ names; none by default.
        user: Numeric user and group id.
        network: Path of a network namespace to join; its own, new one where None.
        privileged: Gets all devices and the machine's control groups, which an engine of containers needs, and a root
            file system on which it may write: into memory, gone with the container.
    """

    name: str
    rootfs: Path
    arguments: Sequence[str]
    mounts: Sequence[Mount] = ()
    environment: Sequence[str] = ()
    capabilities: Sequence[str] = ()
    user: int = 0
    network: Path | None = None
    privileged: bool = False
    hostname: str = field(default="cowabungaai")

    @property
    def root(self) -> Path:
        """What the container sees as /."""
        return run_home() / self.name / "merged" if self.privileged else self.rootfs

    def bundle(self) -> dict[str, Any]:
        """The bundle's config.json."""
        network = {"type": "network"} | ({"path": str(self.network)} if self.network else {})
        kinds = ("bounding", "effective", "permitted", *(("inheritable", "ambient") if self.privileged else ()))
        mounts = [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            _tmpfs("/dev", "mode=755", "strictatime"),
            {
                "destination": "/dev/pts",
                "type": "devpts",
                "source": "devpts",
                "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
            },
            _tmpfs("/dev/shm", "mode=1777", "nodev"),  # noqa: S108 - a mount point inside the container
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev"]},
            _tmpfs("/run", "mode=755"),
            _tmpfs("/tmp", "mode=1777"),  # noqa: S108 - a mount point inside the container
        ]
        if self.privileged:
            mounts.append(Mount(Path("/sys/fs/cgroup"), "/sys/fs/cgroup", writable=True).oci())
        return {
            "ociVersion": "1.0.2",
            "hostname": self.hostname,
            "root": {"path": str(self.root), "readonly": not self.privileged},
            "process": {
                "user": {"uid": self.user, "gid": self.user},
                "args": list(self.arguments),
                "env": [f"PATH={PATH}", *self.environment],
                "cwd": "/",
                "capabilities": {kind: list(self.capabilities) for kind in kinds},
                "noNewPrivileges": not self.privileged,
            },
            "mounts": mounts + [mount.oci() for mount in self.mounts],
            "linux": {
                "cgroupsPath": f"/{run_home().name}/{self.name}",
                "rootfsPropagation": "private",
                "namespaces": [*({"type": kind} for kind in ("pid", "ipc", "uts", "mount")), network],
                "resources": {"devices": [{"allow": self.privileged, "access": "rwm"}]},
                "maskedPaths": []
                if self.privileged
                else ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
                "readonlyPaths": []
                if self.privileged
                else ["/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus"],
            },
        }


def _tmpfs(target: str, *options: str) -> dict[str, Any]:
    return {"destination": target, "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", *options]}


# Runs in a mount namespace of its own, from which runc makes the container's: the machine never sees these mounts.
WRITABLE_ROOT = """
set -e
lower=$1 bundle=$2; shift 2
mkdir -p "$bundle/layer" "$bundle/merged"
mount -t tmpfs -o mode=755 tmpfs "$bundle/layer"
mkdir "$bundle/layer/upper" "$bundle/layer/work"
mount -t overlay -o "lowerdir=$lower,upperdir=$bundle/layer/upper,workdir=$bundle/layer/work" overlay "$bundle/merged"
exec "$@"
"""


def _runc(*arguments: str) -> list[str]:
    return [need("runc"), "--root", str(run_home() / "runc"), *arguments]


def start(container: Container, log: Path) -> int:
    """Start a container in the background.

    Args:
        container: What to run.
        log: File that receives its output.

    Returns:
        The process id of its first process.

    Raises:
        EngineError: runc could not start it.
    """
    bundle = make_run_home() / container.name
    bundle.mkdir(exist_ok=True)
    (bundle / "config.json").write_text(json.dumps(container.bundle(), indent=1))
    pid_file = bundle / "pid"
    with log.open("ab") as sink:
        offset = sink.tell()
        command = _runc("run", "--detach", "--bundle", str(bundle), "--pid-file", str(pid_file), container.name)
        if container.privileged:
            shell = ["sh", "-c", WRITABLE_ROOT, "sh", str(container.rootfs), str(bundle)]
            command = [need("unshare"), "--mount", "--propagation", "private", *shell, *command]
        finished = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, check=False, start_new_session=True
        )
    if finished.returncode != 0:
        with log.open("rb") as source:
            source.seek(offset)
            raise EngineError(
                f"runc could not start {container.name}: {source.read().decode(errors='replace').strip()}"
            )
    return int(pid_file.read_text())


def pid_of(name: str) -> int | None:
    """Process id of a running container; None where it does not run."""
    if not is_available() or not (run_home() / "runc").exists():
        return None
    state = subprocess.run(_runc("state", name), stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if state.returncode != 0:
        return None
    found = json.loads(state.stdout)
    return int(found["pid"]) if found["status"] == "running" else None


def is_available() -> bool:
    """Whether runc is on this machine; where it is not, no container of ours runs."""
    try:
        need("runc")
    except HostError:
        return False
    return True


def remove_remains(*entries: str) -> None:
    """Remove what containers leave on the machine: control groups, and files of the run directory.

    Args:
        entries: Names of the files, not those of other containers, which may run.
    """
    remove_control_groups()
    for path in (run_home() / entry for entry in entries):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for folder in (run_home() / "runc", run_home()):
        with suppress(OSError):  # Another container of ours has something in it, or it is not there.
            folder.rmdir()


def remove_control_groups() -> None:
    """Remove the empty control groups above those of our containers, which runc leaves."""
    for group in (*CGROUPS.glob(run_home().name), *CGROUPS.glob(f"*/{run_home().name}")):
        with suppress(OSError):  # Another container of ours is still below it.
            group.rmdir()


def stop(name: str, *, grace_seconds: float = 10) -> None:
    """End a container, politely first, and remove all that is left of it."""
    if not is_available():
        return
    if pid_of(name):
        capture(_runc("kill", name, "TERM"))
        deadline = time.monotonic() + grace_seconds
        while pid_of(name) and time.monotonic() < deadline:
            time.sleep(0.1)
    capture(_runc("delete", "--force", name))


def connect(pid: int, log: Path) -> int:
    """Give a container's network namespace a way out through a user-space process.

    Args:
        pid: A process inside the namespace.
        log: File that receives the process's output.

    Returns:
        The process id of slirp4netns.

    Raises:
        EngineError: It ended before the network was up.
    """
    reader, writer = os.pipe()
    with log.open("ab") as sink:
        process = subprocess.Popen(
            [
                need("slirp4netns"),
                "--configure",
                "--mtu=65520",
                "--disable-host-loopback",
                f"--ready-fd={writer}",
                str(pid),
                "tap0",
            ],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            pass_fds=[writer],
            start_new_session=True,
        )
    os.close(writer)
    try:
        with os.fdopen(reader, "rb") as ready:
            if ready.read(1) != b"1":
                raise EngineError("slirp4netns could not set up the engine's network", f"Its output: {log}")
    except BaseException:
        process.kill()
        raise
    return process.pid


def end_process(pid: int, program: str) -> None:
    """End a process of ours, if that id still is this program."""
    try:
        if Path(f"/proc/{pid}/comm").read_text().strip() == program[:15]:
            os.kill(pid, signal.SIGTERM)
    except (OSError, ProcessLookupError):
        return
