# SPDX-License-Identifier: Apache-2.0
"""What `clean` removes of the cache, and that it leaves what is in use, is being made, or is somebody else's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from importlib.util import find_spec
from pathlib import Path

import pytest

from cowabunga import cleaning, cluster, engine, gotools, images, python_tools, services, store
from cowabunga.errors import JobError
from cowabunga.host import mirrors
from cowabunga.paths import CHECKOUT, TOOLCHAIN

SOURCES = TOOLCHAIN / "src"
OLD, OTHER = "0" * 16, "f" * 16
# Each makes an entry of its kind, of this checkout's lock files.
MAKERS: dict[str, Callable[[], Path]] = {
    "tool-courier": lambda: gotools.ensure("courier"),
    "wheels-go": lambda: python_tools.install("go"),
    "root-debian": lambda: images.root_tar(images.load("debian")),
    "image-debian": lambda: images.layout("debian"),
    "node-root": cluster.node_root,
    "venv-lint": lambda: services.environment("lint", python_tools.lock("lint")),
    "venv-service-llama-cpp-python": lambda: services.service_environment("llama-cpp-python"),
}


@pytest.fixture
def made_at_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Entries get their keys, but next to nothing is in them."""

    def bootstrap(spec: images.Spec, locked: dict[str, str], target: Path) -> None:
        (target / "root.tar").touch()
        shutil.copy(spec.lock, target / images.INSTALLED)

    def fill(entry: Path, *_: object) -> None:
        (entry / "bin").mkdir(parents=True)
        for name in ("bin/python", services.MARKER):
            (entry / name).touch()

    def unpack_root(tar: Path, target: Path, log: Path) -> Path:
        (target / "root" / "usr/local/bin").mkdir(parents=True)
        return target / "root"

    monkeypatch.setenv("COWABUNGA_DEBIAN_MIRROR", "http://mirror.example/debian")
    mirrors.cache_clear()
    monkeypatch.setattr(gotools, "_build", lambda tool, target: None)
    monkeypatch.setattr(python_tools, "run_logged", lambda *_, **__: None)
    monkeypatch.setattr(images, "_bootstrap", bootstrap)
    monkeypatch.setattr(images, "unpack_root", unpack_root)
    monkeypatch.setattr(services, "_fill", fill)
    yield
    mirrors.cache_clear()


def entry(place: Path, seconds: int = 0) -> Path:
    """A whole entry, as old as seconds since 1970."""
    place.mkdir(parents=True)
    (place / store.MANIFEST).write_text("{}")
    os.utime(place, (seconds, seconds))
    return place


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.usefixtures("made_at_once")
@pytest.mark.parametrize("kind", MAKERS)
def test_what_this_checkout_uses_stays_though_another_is_newer(home: Path, kind: str) -> None:
    MAKERS[kind]()
    (used,) = (home / kind).iterdir()
    os.utime(used, (0, 0))
    for other in (OTHER, f"{OTHER}.staging-1", f"{used.name}.staging-1"):
        entry(home / kind / other, 1000)
    cleaning.clean()
    assert names(home / kind) == [used.name]


@pytest.mark.parametrize("kind", ["tool-gone", "wheels-gone", "root-gone", "engine-root", "zarf-init"])
def test_what_no_lock_file_names_goes(home: Path, kind: str) -> None:
    entry(home / kind / OTHER)
    cleaning.clean()
    assert names(home / kind) == []


@pytest.mark.parametrize("kind", ["program-gatewaybench", "image-agent", "venv-bench-of-old"])
def test_where_no_lock_file_tells_the_newest_whole_entry_stays(home: Path, kind: str) -> None:
    for seconds, name in enumerate([OLD, OTHER, f"{OLD}.staging-1"]):
        entry(home / kind / name, seconds)
    (home / kind / ("a" * 16)).mkdir()
    cleaning.clean()
    assert names(home / kind) == [OTHER]


@pytest.mark.parametrize(
    ("lock", "kind", "name"),
    [
        (f"tool-courier-{OTHER}", "tool-courier", f"{OTHER}.staging-7"),
        (f"venv-service-api-{OTHER}", "venv-service-api", OTHER),
        ("venv-test", "venv", f"test-{OTHER}"),
    ],
)
def test_what_another_launcher_is_making_stays(
    home: Path, monkeypatch: pytest.MonkeyPatch, lock: str, kind: str, name: str
) -> None:
    monkeypatch.setenv(cleaning.VARIABLE, f"test-{OLD}")
    entry(home / kind / name)
    with store.locked(lock):
        cleaning.clean()
    assert names(home / kind) == [name]
    cleaning.clean()
    assert names(home / kind) == []


def test_environments_of_the_launcher_itself_stay_while_their_lock_files_do(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(cleaning.VARIABLE, os.pathsep.join([f"launcher-{OLD}", f"test-{OLD}"]))
    for name in (f"launcher-{OLD}", f"launcher-{OTHER}", f"test-{OLD}", f"test-{OTHER}", "mine"):
        (home / "venv" / name).mkdir(parents=True)
    cleaning.clean()
    assert names(home / "venv") == [f"launcher-{OLD}", "mine", f"test-{OLD}"]


def test_the_launcher_tells_its_environments_by_their_names(tmp_path: Path) -> None:
    """The script finds an environment that is there, and what it then runs is told of it by the same name."""
    code = "import runpy, sys; print(runpy.run_path(sys.argv[1])['entry_name']('launcher'))"
    asked = [sys.executable, "-c", code, str(CHECKOUT / "cowabunga")]
    name = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    place = tmp_path / "venv" / name
    (place / "bin").mkdir(parents=True)
    (place / ".complete").touch()
    python = place / "bin" / "python"
    python.write_text(f'#!/bin/sh\necho "${cleaning.VARIABLE}"\n')
    python.chmod(0o755)
    variables = {**os.environ, "COWABUNGA_HOME": str(tmp_path)}
    shown = subprocess.run([sys.executable, CHECKOUT / "cowabunga"], env=variables, capture_output=True, text=True)  # noqa: PLW1510 - what it prints is compared
    assert re.fullmatch(f"{name}:test-[0-9a-f]{{16}}\n", shown.stdout)


def fill(home: Path) -> None:
    """Something of every sort that the launcher makes."""
    for kind in ("tool-courier", "venv-service-api", "engine-root", "image-debian"):
        entry(home / kind / OLD)
    entry(home / "root-debian" / f"{OLD}.staging-9")
    for name in ("launcher", "test"):
        entry(home / "venv" / f"{name}-{OLD}")
    for file in (
        "models/api/small/manifest.json",
        "models/api/.half.part/w.bin",
        "run/api/api.db",
        "run/serve/8080.key",
        "logs/build-courier.log",
        "logs/engine.log",
        "logs/cluster/node.log",
        "engine/worker/state",
        "registry/docker/blob",
        "cluster/state/db",
        "locks/tool-courier-1.lock",
        "durations.json",
    ):
        (home / file).parent.mkdir(parents=True, exist_ok=True)
        (home / file).touch()


def test_all_goes_with_the_folder_itself(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(home)
    cleaning.clean_all()
    assert not home.exists()
    assert "left in" not in capsys.readouterr().err


def test_what_is_somebody_elses_stays_and_is_told(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(home)
    theirs = [
        "photos/a.jpg",
        "models/whisper/w.bin",
        "logs/app.log",
        "locks/app.lock",
        "image-archive/a.tar",
        "tool-box/hammer/a",
        "venv/bin/python",
        "run/api/notes",
    ]
    for file in theirs:
        (home / file).parent.mkdir(parents=True, exist_ok=True)
        (home / file).write_text("theirs")
    cleaning.clean_all()
    assert sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()) == sorted(theirs)
    told = capsys.readouterr().err
    assert "as not the launcher's: image-archive, locks, logs, models, photos, run, tool-box, venv\n" in told


@pytest.mark.parametrize("name", ["engine", "registry", "cluster"])
def test_storage_of_an_engine_and_a_cluster_that_never_ran_is_somebody_elses(home: Path, name: str) -> None:
    (home / name / "data").mkdir(parents=True)
    cleaning.clean_all()
    assert (home / name / "data").is_dir()


def test_all_stays_while_another_launcher_is_at_work(home: Path) -> None:
    fill(home)
    before = sorted(home.rglob("*"))
    with store.locked("tool-courier-1"), pytest.raises(JobError, match="at work on tool-courier-1, so"):
        cleaning.clean_all()
    assert sorted(home.rglob("*")) == before


def test_the_environment_in_which_it_runs_can_go(home: Path) -> None:
    environment = home / "venv" / f"launcher-{OLD}"
    for package in ("rich", "typer"):
        found = find_spec(package)
        assert found is not None
        assert found.origin is not None
        shutil.copytree(Path(found.origin).parent, environment / package)
    variables = {**os.environ, "PYTHONPATH": f"{environment}:{SOURCES}"}
    command = [sys.executable, "-m", "cowabunga", "clean", "--all"]
    finished = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert (finished.returncode, finished.stderr) == (0, f"• removed the cache in {home}\n")
    assert not home.exists()


def test_everything_that_is_put_into_the_cache_is_known() -> None:
    files = [*SOURCES.rglob("*.py"), *(CHECKOUT / "tests" / "bench").rglob("*.py")]
    text = "\n".join(file.read_text() for file in files)
    kinds = re.findall(r'store\.ensure\(\s*f?"([a-z-]+)', text)
    places = re.findall(r'cache_home\(\) / f?"([a-z.-]+)', text)
    assert {"tool-", "engine-root", "models"} <= {*kinds, *places}
    assert [kind for kind in kinds if not any(fnmatch(kind, known) for known in cleaning.KINDS)] == []
    patterns = (*cleaning.KEPT_BY_KEY, *cleaning.OTHERS, cleaning.MANIFESTS, cleaning.LOCKS)
    storage = {engine.storage().name, engine.registry_storage().name, cluster.storage().name, "logs"}
    known = {pattern.partition("/")[0] for pattern in patterns} | storage
    assert [place for place in places if not any(fnmatch(place, name) for name in known)] == []
