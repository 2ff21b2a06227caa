# SPDX-License-Identifier: Apache-2.0
"""The engine on a cache of its own: what it leaves alone, how it ends, how it recovers."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import CHECKOUT

from cowabunga.paths import cache_home, run_home

LAUNCHER = CHECKOUT / "cowabunga"
# Far more than each takes, for a machine that does other things, too.
UP_SECONDS, END_SECONDS, NOTICE_SECONDS = 60, 20, 60
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the engine's container needs root")


def launch(home: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the launcher with a cache of its own."""
    environment = {name: value for name, value in os.environ.items() if name != "_EXPERIMENTAL_DAGGER_RUNNER_HOST"}
    environment |= {"COWABUNGA_HOME": str(home), "COWABUNGA_ENGINE": "own", **variables}
    return subprocess.run(
        [LAUNCHER, *arguments], env=environment, capture_output=True, text=True, timeout=900, check=False
    )


def start(home: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start the launcher with a cache of its own, in a process group of its own."""
    environment = {**os.environ, "COWABUNGA_HOME": str(home), "COWABUNGA_ENGINE": "own"}
    environment.pop("_EXPERIMENTAL_DAGGER_RUNNER_HOST", None)
    return subprocess.Popen(
        [LAUNCHER, *arguments], env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A cache with the built tools and images of the real one, and nothing else."""
    target = tmp_path / "home"
    target.mkdir()
    for kind in cache_home().iterdir():
        if kind.name == "venv" or kind.name.startswith(("tool-", "root-", "wheels-", "image-", "engine-root")):
            (target / kind.name).symlink_to(kind)
    yield target
    launch(target, "engine", "down")


def own(home: Path, kind: str) -> Path:
    """Give the cache an empty folder of this kind in place of the real one's."""
    (home / kind).unlink()
    (home / kind).mkdir()
    return home / kind


def network_of_the_machine() -> dict[str, str]:
    """What the launcher must leave alone."""
    links = "\n".join(sorted(path.name for path in Path("/sys/class/net").iterdir()))
    files = ("/etc/resolv.conf", "/proc/net/route", "/proc/net/if_inet6", "/proc/sys/net/ipv4/ip_forward")
    tables = {name: os.path.realpath(f"/usr/sbin/{name}") for name in ("iptables", "ip6tables")}
    return {"links": links, **tables, **{file: Path(file).read_text() for file in files if Path(file).exists()}}


def status(home: Path) -> dict[str, object]:
    """`engine status --json`."""
    loaded: dict[str, object] = json.loads(launch(home, "engine", "status", "--json").stdout)
    return loaded


def run_directory(home: Path) -> Path:
    """Where the engine of a cache has its sockets."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COWABUNGA_HOME", str(home))
        return run_home()


def has_ended(pid: int) -> bool:
    """Whether a process is gone in time, but for its parent's taking note."""
    deadline = time.monotonic() + END_SECONDS
    while time.monotonic() < deadline:
        try:
            if (Path(f"/proc/{pid}/stat").read_text()).rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


def processes(home: Path) -> list[str]:
    """Command lines of processes, not ended ones, that belong to the cache's engine or name the cache."""
    run = run_directory(home).name
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            groups = (entry / "cgroup").read_text()
            ended = (entry / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            continue
        if not ended and (run in groups or run in line or str(home) in line):
            found.append(line)
    return found


def test_up_and_down_leave_the_machines_network_alone_and_nothing_running(home: Path) -> None:
    before = network_of_the_machine()
    started = time.monotonic()
    up = launch(home, "engine", "up")
    assert up.returncode == 0, up.stderr
    assert time.monotonic() - started < UP_SECONDS
    assert status(home)["answers"] is True
    assert network_of_the_machine() == before
    network = json.loads((run_directory(home) / "running.json").read_text())["network_process"]
    assert "slirp4netns" in Path(f"/proc/{network}/cmdline").read_text()
    assert launch(home, "engine", "down").returncode == 0
    assert has_ended(network)
    assert not run_directory(home).exists()
    assert not list(Path("/sys/fs/cgroup").glob(f"**/{run_directory(home).name}"))
    assert processes(home) == []
    assert network_of_the_machine() == before
    assert launch(home, "engine", "status").returncode == 6


def test_a_dead_engine_is_told_and_the_next_start_recovers(home: Path) -> None:
    assert launch(home, "engine", "up").returncode == 0
    pid = status(home)["pid"]
    assert isinstance(pid, int)
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + NOTICE_SECONDS
    while (code := launch(home, "engine", "status").returncode) != 6:
        assert time.monotonic() < deadline, code
        time.sleep(0.1)
    again = launch(home, "engine", "up")
    assert again.returncode == 0
    assert "the engine dropped its cache, since it was not stopped in order" in " ".join(again.stderr.split())
    assert status(home)["answers"] is True
    launch(home, "engine", "down")
    assert "dropped" not in launch(home, "engine", "up").stderr


def test_an_engine_that_dies_during_a_build_is_told_and_the_next_run_recovers(home: Path, tmp_path: Path) -> None:
    assert launch(home, "engine", "up").returncode == 0
    pid = status(home)["pid"]
    assert isinstance(pid, int)
    with start(home, "build-all", "repeater", "--output", str(tmp_path / "dist")) as process:
        assert process.stderr is not None
        seen = ""
        while "build repeater" not in seen:
            line = process.stderr.readline()
            assert line, seen
            seen += line
        os.kill(pid, signal.SIGKILL)
        seen += process.stderr.read()
    assert process.returncode == 6, seen
    assert "the engine died during build-all" in seen
    again = launch(home, "build-all", "repeater", "--output", str(tmp_path / "dist"))
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "dist" / "build-report.json").exists()


def test_an_interrupted_build_goes_on_at_the_next_run(home: Path, tmp_path: Path) -> None:
    with start(home, "build-all", "repeater", "--output", str(tmp_path / "dist")) as process:
        assert process.stderr is not None
        while "build repeater" not in (line := process.stderr.readline()):
            assert line
        os.killpg(process.pid, signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode == 130, said
    assert "interrupted; finished parts are kept" in said
    assert "Traceback" not in said
    assert launch(home, "build-all", "repeater", "--output", str(tmp_path / "dist")).returncode == 0


def test_two_starts_at_once_give_one_engine(home: Path) -> None:
    environment = {**os.environ, "COWABUNGA_HOME": str(home)}
    both = [subprocess.Popen([LAUNCHER, "engine", "up"], env=environment, stderr=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(300) for process in both] == [0, 0]
    assert len([line for line in processes(home) if "dagger-engine" in line and "tini" in line]) == 1


def test_garbage_collection_is_configured(home: Path, tmp_path: Path) -> None:
    assert launch(home, "engine", "up", COWABUNGA_ENGINE_MAX_SPACE="7GB").returncode == 0
    query = tmp_path / "query.graphql"
    query.write_text("{ engine { localCache { maxUsedSpace } } }")
    asked = launch(home, "dagger", "query", "--doc", str(query), COWABUNGA_ENGINE_MAX_SPACE="7GB")
    assert asked.returncode == 0, asked.stderr
    assert json.loads(asked.stdout)["engine"]["localCache"]["maxUsedSpace"] == 7 * 2**30  # The engine counts GB as GiB.


def test_an_unreachable_mirror_is_told(home: Path, tmp_path: Path) -> None:
    own(home, "tool-registry")
    empty = str(tmp_path / "modules")
    failed = launch(home, "tool", "registry", "--version", GOPROXY="http://127.0.0.1:9", GOMODCACHE=empty)
    assert failed.returncode == 4, failed.stderr
    assert "building registry failed" in failed.stderr
    assert "doctor" in failed.stderr


def test_a_killed_build_is_recovered_from(home: Path) -> None:
    own(home, "tool-registry")
    environment = {**os.environ, "COWABUNGA_HOME": str(home)}
    with subprocess.Popen(
        [LAUNCHER, "tool", "registry", "--version"], env=environment, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        deadline = time.monotonic() + 60
        while not list((home / "tool-registry").glob("*.staging-*")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
    again = launch(home, "tool", "registry", "--version")
    assert again.returncode == 0, again.stderr
    assert "3.0.0" in again.stdout
    assert not list((home / "tool-registry").glob("*.staging-*"))


def test_a_corrupt_tool_is_built_anew(home: Path) -> None:
    own(home, "tool-registry")
    assert launch(home, "tool", "registry", "--version").returncode == 0
    program = next((home / "tool-registry").glob("*/registry"))
    program.write_bytes(program.read_bytes()[:1000])
    again = launch(home, "tool", "registry", "--version")
    assert again.returncode == 0, again.stderr
    assert "damaged" in again.stderr


def test_two_launchers_build_a_tool_once(home: Path) -> None:
    own(home, "tool-registry")
    environment = {**os.environ, "COWABUNGA_HOME": str(home)}
    command: list[str | Path] = [LAUNCHER, "tool", "registry", "--version"]
    both = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=600) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum("✓ building registry" in errors for _, errors in said) == 1


def test_a_full_disk_is_told_before_the_engine_starts(home: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=50m", "tmpfs", str(small)], check=True)
    try:
        for kind in home.iterdir():
            (small / kind.name).symlink_to(kind.resolve())
        failed = launch(small, "engine", "up")
    finally:
        subprocess.run(["umount", str(small)], check=True)
    assert failed.returncode == 5, failed.stderr
    assert "GB are free" in failed.stderr


def test_a_port_in_use_is_told(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        failed = launch(home, "serve", "--port", str(taken.getsockname()[1]))
    assert failed.returncode == 7, failed.stderr
    assert "is in use" in failed.stderr


def test_an_unknown_tool_lists_the_known_ones(home: Path) -> None:
    failed = launch(home, "tool", "nope")
    assert failed.returncode == 2
    known = sorted(path.parent.name for path in (CHECKOUT / "toolchain" / "go").glob("*/build.json"))
    assert ", ".join(known) in failed.stderr


def test_doctor_explains_the_machine(home: Path) -> None:
    told = launch(home, "doctor", "--json")
    names = {check["name"] for check in json.loads(told.stdout)}
    assert {"system", "user", "packages", "containers", "capabilities", "mirrors", "disk", "tools", "engine"} <= names


def test_a_damaged_base_image_is_told_and_the_next_start_makes_it_anew(home: Path) -> None:
    for kind in ("image-debian", "image-python"):
        real = (home / kind).resolve()
        shutil.copytree(real, own(home, kind), dirs_exist_ok=True)
    newest = max((home / "image-debian").iterdir(), key=lambda entry: entry.stat().st_mtime)
    blob = max((newest / "blobs" / "sha256").iterdir(), key=lambda file: file.stat().st_size)
    content = bytearray(blob.read_bytes())
    content[len(content) // 2] ^= 0xFF
    blob.write_bytes(content)
    failed = launch(home, "engine", "up")
    assert failed.returncode == 6, failed.stderr
    assert "base image" in failed.stderr
    assert launch(home, "engine", "up").returncode == 0
