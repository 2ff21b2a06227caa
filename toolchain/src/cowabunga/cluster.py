# SPDX-License-Identifier: Apache-2.0
"""A Kubernetes cluster of one node in a container, with Zarf in it: where bundles are tried as an enclave has them.

The node's network namespace holds the control plane, a registry, and all pods; like an enclave's it has no way out.
What is to reach the cluster runs in that namespace: `./cowabunga cluster run uds deploy BUNDLE`.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

from cowabunga import console, container, gotools, images, oci, registry, store, tools
from cowabunga.container import Container, Mount
from cowabunga.errors import EngineError
from cowabunga.host import bounding_capabilities, prepare_packages, require_engine_host
from cowabunga.paths import TOOLCHAIN, cache_home, digest_of, logs, make_run_home, run_home
from cowabunga.process import need, run_logged

NODE = "node"
REGISTRY = "cluster-registry"
SETTINGS = TOOLCHAIN / "cluster"
SERVER = "https://127.0.0.1:6443"
READY_SECONDS = 180
STOP_SECONDS = 20
# Of each part of the node that asks the API: its user, and its groups.
USERS = {
    "admin": ("admin", "system:masters"),
    "kubelet": ("system:node:node", "system:nodes"),
    "kube-controller-manager": ("system:kube-controller-manager", ""),
    "kube-scheduler": ("system:kube-scheduler", ""),
    "kube-proxy": ("system:kube-proxy", ""),
}
PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubelet")
AGENT = "zarf-dev/zarf/agent"


@dataclass(frozen=True)
class Status:
    """The cluster as it is now.

    Attributes:
        running: Whether its node and its registry run, and Zarf has been installed.
        pid: Its first process on the machine; None where it does not run.
        kubeconfig: Of its administrator; good inside of its network namespace.
        log: Folder of its parts' logs.
    """

    running: bool
    pid: int | None
    kubeconfig: str
    log: str

    def as_dict(self) -> dict[str, object]:
        """For `--json`."""
        return asdict(self)


def storage() -> Path:
    """Folder of all that the cluster keeps while it is up: its API's store, images, volumes."""
    return cache_home() / "cluster"


def settings() -> Path:
    """Folder of this start's settings, with its keys."""
    return run_home() / "cluster"


def kubeconfig() -> Path:
    """The administrator's."""
    return settings() / "kubeconfig" / "admin"


def log_folder() -> Path:
    """Folder of the logs of the node's parts."""
    return logs() / "cluster"


def status() -> Status:
    """Look at the cluster without changing anything."""
    pid = container.pid_of(NODE)
    running = pid is not None and container.pid_of(REGISTRY) is not None and _whole().exists()
    return Status(running, pid, str(kubeconfig()), str(log_folder()))


def _whole() -> Path:
    """A file that is there when the cluster has come up to its end."""
    return settings() / "whole"


def up() -> Status:
    """Start a new cluster and Zarf in it, or leave the one that runs.

    Raises:
        HostError: The machine cannot run it.
        EngineError: It did not come up.
    """
    if status().running:
        return status()
    require_engine_host()
    prepare_packages()
    programs = {name: gotools.ensure("kubernetes") / name for name in PROGRAMS}
    registry_program = gotools.ensure("registry") / "registry"
    zarf = tools.ensure("zarf") / "zarf"
    tools.ensure("uds")
    root = node_root()
    pushed = {f"{layout}={reference}": layout for reference, layout in _images(root, zarf).items()}
    with store.locked("cluster"):
        if status().running:
            return status()
        _stop()  # What a start that was interrupted has left.
        try:
            with console.step("starting a Kubernetes node", "cluster-start"):
                pid = _start(root, programs)
                data = storage() / "registry"
                container.start(
                    registry.contained(REGISTRY, registry_program, data, pid), logs() / "cluster-registry.log"
                )
                code, told = registry.fill(pid, list(pushed))
                if code != 0:
                    if code == registry.REFUSED:
                        for layout in pushed.values():
                            store.remove(layout)  # Where one is damaged the next run makes it anew.
                    log = logs() / "cluster-registry.log"
                    raise EngineError(f"the cluster's registry could not be filled: {told}", f"Its log: {log}")
                _wait_until_it_is_ready()
                kubectl("apply", "--filename", str(SETTINGS / "manifests.yaml"))
            with console.step("installing Zarf in it", "cluster-zarf"):
                _init_zarf()
            _whole().touch()
        except BaseException:
            _stop()
            raise
    return status()


def down() -> bool:
    """Stop the cluster and remove all that is in it.

    Returns:
        Whether it ran.
    """
    with store.locked("cluster"):
        ran = container.pid_of(NODE) is not None
        _stop()
        return ran


def inside(command: Sequence[str | Path]) -> tuple[list[str], dict[str, str]]:
    """How a program is run where it reaches the cluster: the command, and what its environment needs.

    Raises:
        EngineError: No cluster runs.
    """
    pid = container.pid_of(NODE)
    if pid is None:
        raise EngineError("no cluster runs", "./cowabunga cluster up starts one.")
    programs = ":".join(str(path) for path in (settings() / "bin", tools.ensure("zarf"), tools.ensure("uds")))
    environment = {
        "KUBECONFIG": str(kubeconfig()),
        # What it has learnt of this API is good for no other at the same address.
        "KUBECACHEDIR": str(storage() / "kubectl"),
        "PATH": f"{programs}:{os.environ['PATH']}",
    }
    return [need("nsenter"), f"--net=/proc/{pid}/ns/net", "--", *map(str, command)], environment


def kubectl(*arguments: str) -> str:
    """Run kubectl on the cluster; what it prints.

    Raises:
        EngineError: It failed.
    """
    command, environment = inside(["kubectl", *arguments])
    try:
        finished = subprocess.run(
            command, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=120
        )
    except subprocess.TimeoutExpired as error:
        raise EngineError(
            f"kubectl {shlex.join(arguments)}: no answer within 120 s", f"Logs: {log_folder()}"
        ) from error
    if finished.returncode != 0:
        raise EngineError(f"kubectl {shlex.join(arguments)}: {finished.stderr.strip()}", f"Logs: {log_folder()}")
    return finished.stdout


def node_root_key() -> str:
    """Digest of all that decides the node's root file system."""
    return digest_of(images.root_key(images.load(NODE)))


def init_package_key() -> str:
    """Digest of all that decides Zarf's init package."""
    return digest_of(gotools.load("zarf").key(), Path(__file__))


def node_root() -> Path:
    """The node's root file system, made where the cache has none of this lock."""
    tar = images.root_tar(images.load(NODE))

    def build(target: Path) -> None:
        with console.step("unpacking the node's root file system", "node-root"):
            root = images.unpack_root(tar, target, logs() / "node-root.log")
            for name in ("etc/cluster", "var/lib/cluster", "var/log/cluster", "var/lib/containerd", "var/lib/kubelet"):
                (root / name).mkdir(parents=True, exist_ok=True)
            for program in PROGRAMS:
                (root / "usr/local/bin" / program).touch()

    return store.ensure("node-root", node_root_key(), build, verify=False) / "root"


def _start(root: Path, programs: dict[str, Path]) -> int:
    for folder in ("state", "containerd", "kubelet"):
        (storage() / folder).mkdir(parents=True, mode=0o700)
    store.remove(log_folder())
    log_folder().mkdir(parents=True)
    _write_settings()
    name = f"/{run_home().name}/{NODE}"
    node = Container(
        name=NODE,
        rootfs=root,
        arguments=["/usr/bin/tini", "-g", "--", "/bin/bash", "/etc/cluster/start.sh", name],
        mounts=[
            Mount(settings(), "/etc/cluster"),
            Mount(storage() / "state", "/var/lib/cluster", writable=True),
            Mount(storage() / "containerd", "/var/lib/containerd", writable=True),
            Mount(storage() / "kubelet", "/var/lib/kubelet", writable=True),
            Mount(log_folder(), "/var/log/cluster", writable=True),
            *(Mount(file, f"/usr/local/bin/{program}") for program, file in programs.items()),
        ],
        capabilities=bounding_capabilities(),
        privileged=True,
        hostname=NODE,
    )
    return container.start(node, log_folder() / "node.log")


def _write_settings() -> None:
    make_run_home()
    folder = settings()
    for path in (folder, folder / "kubeconfig"):
        path.mkdir(mode=0o700)
    for file in SETTINGS.iterdir():
        shutil.copy(file, folder / file.name)
    tokens = {part: secrets.token_hex(24) for part in USERS}
    (folder / "tokens.csv").write_text(
        "".join(f'{token},{USERS[part][0]},{part},"{USERS[part][1]}"\n' for part, token in tokens.items())
    )
    for part, token in tokens.items():
        state = storage() / "state" if part == "admin" else Path("/var/lib/cluster")
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": "c", "cluster": {"server": SERVER, "certificate-authority": str(state / "pki/ca.crt")}}
            ],
            "users": [{"name": part, "user": {"token": token}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": part}}],
            "current-context": "c",
        }
        file = folder / "kubeconfig" / part
        file.touch(mode=0o600)
        file.write_text(yaml.safe_dump(config))
    (folder / "bin").mkdir()
    shim = folder / "bin" / "kubectl"
    shim.write_text('#!/bin/sh\nexec zarf tools kubectl "$@"\n')
    shim.chmod(0o755)


def _wait_until_it_is_ready() -> None:
    deadline = time.monotonic() + READY_SECONDS
    told = ""
    while time.monotonic() < deadline:
        if container.pid_of(NODE) is None:
            told = (log_folder() / "node.log").read_text(errors="replace").strip()
            raise EngineError(f"the node ended right after its start:\n{told}", f"Logs: {log_folder()}")
        try:
            told = kubectl(
                "get", "nodes", "--output", "jsonpath={.items[*].status.conditions[?(@.type=='Ready')].status}"
            )
        except EngineError as error:
            told = error.message
        if told == "True":
            return
        time.sleep(0.5)
    raise EngineError(f"the node was not ready within {READY_SECONDS} s: {told}", f"Logs: {log_folder()}")


def _image(kind: str, files: dict[str, Path], config: dict[str, object]) -> Path:
    """An OCI layout of a few programs."""

    def build(target: Path) -> None:
        tar = target / "layer.tar"
        oci.tar_of({name: (file.read_bytes(), 0o755) for name, file in files.items()}, tar)
        layer = oci.add_layer(target, tar)
        tar.unlink()
        oci.write_image(target, [layer], config)

    return store.ensure(f"image-{kind}", digest_of(*files.values(), json.dumps(config)), build, verify=False)


def _images(root: Path, zarf: Path) -> dict[str, Path]:
    """What the cluster itself consists of: layouts by their references."""
    agent = ["/zarf", "internal", "agent", "--log-format=console", "--no-color"]
    coredns = gotools.ensure("coredns") / "coredns"
    pause = root / "usr/bin/catatonit"
    return {
        "pause:1": _image("pause", {"catatonit": pause}, {"Entrypoint": ["/catatonit", "-P"]}),
        "coredns:1": _image("coredns", {"coredns": coredns}, {"Entrypoint": ["/coredns"], "User": "65532:65532"}),
        f"{AGENT}:{gotools.load('zarf').version}": _image(
            "agent", {"zarf": zarf}, {"Cmd": agent, "User": "65532:65532"}
        ),
    }


def _init_zarf() -> None:
    """Install Zarf's agent by `zarf init`, with the registry of the node as the one that is there already."""
    tool = gotools.load("zarf")
    zarf = tools.ensure("zarf") / "zarf"

    def build(target: Path) -> None:
        with _agent_definition(target / "source") as source:
            command, environment = inside(
                [
                    *(zarf, "package", "create", source, "--confirm", "--no-color", "--skip-sbom", "--output", target),
                    *("--cache", storage() / "zarf-cache"),
                    *("--registry-override", f"ghcr.io={registry.ADDRESS}", "--plain-http"),
                    *("--set", "AGENT_IMAGE_DOMAIN=ghcr.io/", "--set", f"AGENT_IMAGE={AGENT}"),
                    *("--set", f"AGENT_IMAGE_TAG={tool.version}"),
                ]
            )
            run_logged(command, logs() / "zarf-init.log", "making Zarf's init package", env=environment)

    made = store.ensure("zarf-init", init_package_key(), build, verify=False)
    (package,) = made.glob("zarf-init-*.tar.zst")
    command, environment = inside(
        [
            *(zarf, "init", "--confirm", "--no-color", "--plain-http", "--cache", storage() / "zarf-cache"),
            # The registry is nobody's but the node's and asks for none; zarf does.
            *("--registry-url", registry.ADDRESS, "--registry-push-username=none", "--registry-push-password=none"),
        ]
    )
    run_logged(command, logs() / "zarf-init.log", "zarf init", env=environment, cwd=package.parent)


@contextmanager
def _agent_definition(folder: Path) -> Iterator[Path]:
    """A definition of Zarf's init package with the agent alone, which its module describes; gone afterwards."""
    sources = gotools.module_source("zarf", "github.com/zarf-dev/zarf")
    # Modules lie there read-only; the copy is removed.
    shutil.copytree(sources / "packages/zarf-agent", folder / "agent", copy_function=shutil.copyfile)
    for path in (folder / "agent", *(folder / "agent").rglob("*/")):
        path.chmod(0o755)
    definition = {
        "kind": "ZarfInitConfig",
        "metadata": {"name": "init", "allowNamespaceOverride": False},
        "components": [{"name": "zarf-agent", "required": True, "import": {"path": "agent"}}],
    }
    (folder / "zarf.yaml").write_text(yaml.safe_dump(definition))
    try:
        yield folder
    finally:
        store.remove(folder)


def _stop() -> None:
    container.stop(REGISTRY, grace_seconds=3)
    container.stop(NODE, grace_seconds=STOP_SECONDS)
    if container.pid_of(NODE) is not None:
        raise EngineError("the node's container does not end", f"Its logs: {log_folder()}")
    container.remove_remains(NODE, REGISTRY, *registry.run_files(REGISTRY), settings().name)
    store.remove(storage())
