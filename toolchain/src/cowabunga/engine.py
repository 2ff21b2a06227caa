# SPDX-License-Identifier: Apache-2.0
"""The engine: its root file system, its container, its registry of base images."""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from cowabunga import console, container, gotools, images, oci, python_tools, registry, store
from cowabunga.container import Container, Mount
from cowabunga.errors import DiskFullError, EngineError
from cowabunga.host import (
    CERTIFICATES,
    bounding_capabilities,
    certificate_bundle,
    mirrors,
    prepare_packages,
    require_engine_host,
)
from cowabunga.paths import TOOLCHAIN, cache_home, digest_of, logs, make_run_home, run_home
from cowabunga.process import hint_for

ENGINE = "engine"
REGISTRY = "registry"
SDK = TOOLCHAIN / "sdk-python"
# Raise it when this module assembles another root from the same parts.
RECIPE = "2"
# After an unclean end the engine first removes its cache, which can take minutes.
READY_SECONDS = 180
# Tells a command that the one which started it uses the engine of this run directory.
HELD_BY = "COWABUNGA_ENGINE_HELD"
# A larger log is put aside at the next start.
LOG_BYTES = 20_000_000
# An engine that is killed before it has written its state down starts with an empty cache.
STOP_SECONDS = 60
# What it then says in its log, and what it says of a state that it wrote down in order but cannot read: that names
# snapshots that its garbage collection has removed (dagger issue 13952).
LOST_CACHE = {
    "persistence store marked unclean": "it was not stopped in order, as ./cowabunga engine down does",
    "persistence import failed": "it could not read what it had written down after it had freed space",
}
# Paths that the engine expects of its image.
CONTENT = "usr/local/share/dagger/content"
PROGRAMS = {"dagger-engine": "usr/local/bin/dagger-engine", "dagger-init": "usr/local/bin/dagger-init"}
CNI = "opt/cni/bin"
STATE = "/var/lib/dagger"
# What it has in the run directory.
RUN_FILES = (ENGINE, REGISTRY, *registry.run_files(REGISTRY), "sockets", "engine.json", "resolv.conf", "running.json")
SOCKETS = "/run/dagger"
# Less than this cannot hold a build; the engine would fail in the middle with stranger words.
MINIMUM_FREE_BYTES = 2_000_000_000


@dataclass(frozen=True)
class Running:
    """What `up` started, kept in the run directory until `down`."""

    key: str
    pid: int
    network_process: int


@dataclass(frozen=True)
class Status:
    """The engine as it is now.

    Attributes:
        running: Whether its container runs.
        answers: Whether its socket accepts connections.
        current: Whether it is the one that this checkout's lock files describe.
        pid: Its first process on the machine; None where it does not run.
        address: What `_EXPERIMENTAL_DAGGER_RUNNER_HOST` must be.
        storage: Directory of its cache.
        log: File of its output.
    """

    running: bool
    answers: bool
    current: bool
    pid: int | None
    address: str
    storage: str
    log: str

    def as_dict(self) -> dict[str, object]:
        """For `--json`."""
        return asdict(self)


def socket_path() -> Path:
    """The engine's socket on the machine."""
    return run_home() / "sockets" / "engine.sock"


def address() -> str:
    """The engine's address for the dagger CLI."""
    return f"unix://{socket_path()}"


def storage() -> Path:
    """Directory of the engine's cache."""
    return cache_home() / "engine"


def registry_storage() -> Path:
    """Directory of the base images that the registry serves."""
    return cache_home() / "registry"


def log_file() -> Path:
    """File of the engine's output."""
    return logs() / "engine.log"


def root_key() -> str:
    """Digest of all that decides the engine's root file system."""
    spec = images.load(ENGINE)
    uv = python_tools.REQUIREMENTS / "uv-program.lock"
    image = images.IMAGES / "engine.yaml"
    return digest_of(gotools.load("dagger").key(), image, spec.lock, SDK, uv, RECIPE)


def roots_in_use() -> set[str]:
    """Keys of the root file systems that must stay: this checkout's, and that of an engine that runs."""
    known = _running()
    return {root_key()} | ({known.key.partition("-")[0]} if known else set())


def key() -> str:
    """Digest of all that decides how the engine runs; another key needs a restart."""
    layouts = [images.layout(name).name for name in images.BASE_IMAGES]
    return digest_of(
        root_key(), Path(container.__file__), gotools.load("registry").key(), *layouts, str(configuration())
    )


def configuration() -> dict[str, object]:
    """The engine's engine.json: garbage collection and the mirror of docker.io."""
    return {
        "logLevel": "info",
        "gc": {
            "enabled": True,
            # All tests leave some 35 GB. More room than that, since what is freed can cost all at the next start.
            "maxUsedSpace": os.environ.get("COWABUNGA_ENGINE_MAX_SPACE", "60GB"),
            "reservedSpace": "5GB",
            # Not a part of the disk: on a large one that is half full all that was compiled would be dropped.
            "minFreeSpace": "5GB",
        },
        "registries": {
            "docker.io": {"mirrors": [registry.ADDRESS]},
            registry.ADDRESS: {"http": True},
        },
    }


def status() -> Status:
    """Look at the engine without changing anything."""
    pid = container.pid_of(ENGINE)
    known = _running()
    answers = pid is not None and _answers()
    current = known is not None and known.key.startswith(root_key())
    return Status(pid is not None, answers, current, pid, address(), str(storage()), str(log_file()))


def up() -> Status:
    """Start the engine of this checkout, or leave it where it runs already.

    Raises:
        HostError: The machine cannot run it.
        EngineError: It did not come up; the message holds the end of its log.
    """
    require_engine_host()
    prepare_packages()
    _require_space()
    wanted = f"{root_key()}-{key()}"
    root = root_directory()
    registry_program = gotools.ensure("registry") / "registry"
    with store.locked(ENGINE):
        if _serves(wanted):
            return status()
        if not alive():
            return _start_anew(root, registry_program, wanted)
    if os.environ.get(HELD_BY) == str(run_home()):
        console.note("the engine is of another toolchain, and stays: what started this command uses it")
        return status()
    console.note("the engine is of another toolchain or does not answer: starting it anew")
    # Who uses it may need the other lock to end.
    with store.locked(f"{ENGINE}-use"), store.locked(ENGINE):
        return status() if _serves(wanted) else _start_anew(root, registry_program, wanted)


def _serves(wanted: str) -> bool:
    """Whether the engine with this key runs and answers."""
    known = _running()
    return known is not None and known.key == wanted and container.pid_of(ENGINE) is not None and _answers()


def _start_anew(root: Path, registry_program: Path, wanted: str) -> Status:
    _stop()  # Also what a start that was interrupted has left.
    with console.step("starting the engine", "engine-start"):
        _start(root, registry_program, wanted)
    return status()


def alive() -> bool:
    """Whether the engine that was started last still runs; cheap enough to ask every second."""
    known = _running()
    return known is not None and Path(f"/proc/{known.pid}").exists()


@contextmanager
def in_use() -> Iterator[dict[str, str]]:
    """Keep other launchers from replacing the engine by one of another toolchain meanwhile.

    Yields:
        A variable for programs that may call the launcher: those must not wait for who started them.
    """
    with store.locked(f"{ENGINE}-use", shared=True):
        yield {HELD_BY: str(run_home())}


def down() -> bool:
    """Stop the engine and all that belongs to it.

    Returns:
        Whether anything ran.
    """
    with store.locked(ENGINE):
        ran = container.pid_of(ENGINE) is not None or _running() is not None
        _stop()
    return ran


def prune() -> int:
    """Remove the engine's cache; the number of bytes freed."""
    before = shutil.disk_usage(cache_home()).free
    with store.locked(ENGINE):
        _stop()
        store.remove(storage())
        store.remove(registry_storage())
    return max(0, shutil.disk_usage(cache_home()).free - before)


def root_directory() -> Path:
    """The engine's root file system, made where the cache has none of this lock."""
    spec = images.load(ENGINE)
    tools, tar, uv = gotools.ensure("dagger"), images.root_tar(spec), python_tools.uv()

    def build(target: Path) -> None:
        with console.step("assembling the engine's root file system", "engine-root"):
            root = images.unpack_root(tar, target, logs() / "engine-root.log")
            for directory in (
                "usr/local/bin",
                CNI,
                CONTENT,
                "etc/dagger",
                STATE[1:],
                "usr/local/share/ca-certificates",
            ):
                (root / directory).mkdir(parents=True, exist_ok=True)
            for name, place in PROGRAMS.items():
                shutil.copy(tools / name, root / place)
            shutil.copy(tools / "dnsname", root / CNI / "dnsname")
            for plugin in ("bridge", "loopback", "firewall", "host-local"):
                shutil.copy(root / "usr/lib/cni" / plugin, root / CNI / plugin)
            for program in ("runc", "tini"):
                found = next(
                    root / place / program for place in ("usr/bin", "usr/sbin") if (root / place / program).exists()
                )
                (root / "usr/local/bin" / program).symlink_to("/" + found.relative_to(root).as_posix())
            # Debian has these in /usr/sbin, the engine looks in /usr/bin.
            for program in ("xtables-legacy-multi", "xtables-nft-multi"):
                (root / "usr/bin" / program).symlink_to(f"/usr/sbin/{program}")
            (root / "etc/resolv.conf").touch()
            (root / "etc/dagger/engine.json").touch()
            (target / "sdk-digest").write_text(_write_sdk(root / CONTENT, uv, target))

    return store.ensure("engine-root", root_key(), build, verify=False)


def _write_sdk(content: Path, uv: Path, scratch: Path) -> str:
    """Put the runtime of Python modules into the engine's built-in content; the manifest's digest."""
    files = {
        f"runtime/{file.name}": (file.read_bytes(), 0o644) for file in (SDK / "runtime").iterdir() if file.is_file()
    }
    files["dist/uv"] = (uv.read_bytes(), 0o755)
    tar = scratch / "sdk.tar"
    oci.tar_of(files, tar)
    layer = oci.add_layer(content, tar)
    tar.unlink()
    return oci.write_image(content, [layer], {})


def _require_space() -> None:
    cache_home().mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(cache_home()).free
    if free < MINIMUM_FREE_BYTES:
        raise DiskFullError(
            f"only {free / 1e9:.1f} GB are free for {cache_home()}; the engine needs {MINIMUM_FREE_BYTES / 1e9:.0f} GB",
            hint_for(DiskFullError, None),
        )


def _start(root: Path, registry_program: Path, wanted: str) -> None:
    log = log_file()
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    said = log.stat().st_size if log.exists() else 0
    try:
        make_run_home()
        started = container.start(_engine_container(root), log)
        network = container.connect(started, log)
        _write_running(Running(wanted, started, network))
        # Filled anew at every start, within a second, so that no damage lasts.
        store.remove(registry_storage())
        contained = registry.contained(REGISTRY, registry_program, registry_storage(), started)
        container.start(contained, logs() / "registry.log")
        _push_base_images(started)
        _wait_until_it_answers()
        _tell_of_a_lost_cache(log, said)
    except BaseException:
        _stop()
        raise


def _engine_container(root: Path) -> Container:
    directory = run_home()
    sockets = directory / "sockets"
    for path in (sockets, storage()):
        path.mkdir(parents=True, exist_ok=True)
    (directory / "engine.json").write_text(json.dumps(configuration(), indent=1))
    # The engine puts its own name server, which knows its services, in front of this one.
    (directory / "resolv.conf").write_text(f"nameserver {container.NAME_SERVER}\n")
    mounts = [
        Mount(storage(), STATE, writable=True),
        Mount(sockets, SOCKETS, writable=True),
        Mount(directory / "engine.json", "/etc/dagger/engine.json"),
        Mount(directory / "resolv.conf", "/etc/resolv.conf", writable=True),
    ]
    # The engine trusts what is in this folder, and installs it into every container that it runs.
    if CERTIFICATES.is_dir() and any(CERTIFICATES.glob("*.crt")):
        mounts.append(Mount(CERTIFICATES, str(CERTIFICATES)))
    elif bundle := certificate_bundle():
        mounts.append(Mount(bundle.resolve(), f"{CERTIFICATES}/machine.crt"))
    proxies = {
        name: value
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "FTP_PROXY")
        if (value := os.environ.get(name) or os.environ.get(name.lower()))
    }
    digest = (root / "sdk-digest").read_text()
    return Container(
        name=ENGINE,
        rootfs=root / "root",
        arguments=["/usr/local/bin/tini", "--", "/usr/local/bin/dagger-engine"],
        mounts=mounts,
        environment=[
            f"DAGGER_PYTHON_SDK_MANIFEST_DIGEST={digest}",
            "HOME=/root",
            "DO_NOT_TRACK=1",
            *(f"{name}={value}" for name, value in proxies.items()),
            *(f"_DAGGER_ENGINE_SYSTEMENV_{name}={value}" for name, value in mirrors().environment.items()),
        ],
        capabilities=bounding_capabilities(),
        privileged=True,
        hostname="dagger-engine",
    )


def _push_base_images(engine_pid: int) -> None:
    references = [f"{images.layout(name)}={tag}" for name in images.BASE_IMAGES for tag in images.load(name).tags]
    code, text = registry.fill(engine_pid, references)
    if code != 0:
        if container.pid_of(ENGINE) is None:
            raise _silence("the engine ended right after its start")
        if code == registry.REFUSED:
            for name in images.BASE_IMAGES:
                store.remove(images.layout(name))  # Where one is damaged the next run makes it anew.
        raise EngineError(
            f"the base images could not be put into the registry: {text}", f"Its log: {logs() / 'registry.log'}"
        )


def _wait_until_it_answers() -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if container.pid_of(ENGINE) is None:
            raise _silence("the engine ended right after its start")
        if _answers():
            return
        time.sleep(0.1)
    raise _silence(f"the engine did not answer within {READY_SECONDS} s")


def _tell_of_a_lost_cache(log: Path, start: int) -> None:
    """Warn where the engine has dropped what it had built; `start` is where in its log this start begins."""
    with log.open("rb") as source:
        source.seek(start)
        told = source.read().decode(errors="replace")
    for sign, reason in LOST_CACHE.items():
        if sign in told:
            console.warn(f"the engine dropped its cache, since {reason}: it builds everything anew once")


def died(what: str) -> EngineError:
    """The error of a command during which the engine ended."""
    return EngineError(f"the engine died during {what}", f"Run it again: it is started anew. Its log: {log_file()}")


def _silence(message: str) -> EngineError:
    """An error that holds the end of the engine's log."""
    tail = "\n".join(f"    {line}" for line in log_file().read_text(errors="replace").splitlines()[-12:])
    return EngineError(f"{message}:\n{tail}", f"Its log: {log_file()}")


def _answers() -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(2)
        try:
            client.connect(str(socket_path()))
        except OSError:
            return False
    return True


def _stop() -> None:
    known = _running()
    container.stop(REGISTRY, grace_seconds=3)
    container.stop(ENGINE, grace_seconds=STOP_SECONDS)
    if known:
        container.end_process(known.network_process, "slirp4netns")
    if container.pid_of(ENGINE) is not None:
        raise EngineError("the engine's container does not end", f"Its log: {log_file()}")
    container.remove_remains(*RUN_FILES)


def _running() -> Running | None:
    try:
        return Running(**json.loads((run_home() / "running.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _write_running(running: Running) -> None:
    (run_home() / "running.json").write_text(json.dumps(asdict(running)))
