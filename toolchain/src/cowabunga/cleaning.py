# SPDX-License-Identifier: Apache-2.0
"""What `./cowabunga clean` removes of the cache, and what stays."""

from __future__ import annotations

import os
from contextlib import suppress
from itertools import groupby
from pathlib import Path, PurePath

from cowabunga import cluster, console, engine, gotools, images, python_tools, services, store
from cowabunga.errors import HostError, JobError
from cowabunga.host import mirrors
from cowabunga.paths import cache_home

# Names of the launcher's own environments that this checkout uses, which the script `cowabunga` tells.
VARIABLE = "COWABUNGA_ENVIRONMENTS"
KEY = "[0-9a-f]" * 16
KINDS = ("tool-*", "program-*", "wheels-*", "root-*", "image-*", "venv-*", "engine-root", "node-root", "zarf-init")
KEPT_BY_KEY = tuple(f"{kind}/{KEY}*" for kind in KINDS)
ENVIRONMENTS = (f"venv/launcher-{KEY}", f"venv/test-{KEY}")
MANIFESTS = "models/*/*/manifest.json"
LOCKS = "locks/*.lock"
# What no pattern names may be the user's, since COWABUNGA_HOME may be a folder that holds other things too.
OTHERS = (
    "models/*/.*.part",
    "models/.wheels-*",
    f"bench-models/{KEY}-*",
    "run/serve/*.key",
    *(f"run/{name}/{name}.db*" for name in services.DATABASES),
    *(f"logs/{kind}-*.log" for kind in ("bench", "build", "fetch", "model", "root", "venv")),
    *(f"logs/{name}.log" for name in ("apt", "bench", "cluster-registry", "engine-root", "node-root", "packages")),
    *(f"logs/{name}.log" for name in ("pipeline", "registry", "zarf-init")),
    "logs/engine.log*",
    "logs/cluster",
    "relock-*",
    "durations.json",
    "durations.*.tmp",
)


def clean() -> None:
    """Remove cache entries that this checkout does not use, no running engine or cluster uses, and nobody is making."""
    freed = 0
    for kind, entries in groupby(_found((*KEPT_BY_KEY, *ENVIRONMENTS)), lambda entry: entry.parent.name):
        if kind == "node-root" and cluster.status().pid is not None:
            continue  # The node's container stands on one of them.
        for entry in _stale(kind, list(entries)):
            with store.locked_if_free(_lock_of(entry)) as held:
                if held:
                    freed += sum(file.lstat().st_size for file in entry.rglob("*") if file.is_file())
                    store.remove(entry)
    console.note(f"freed {freed / 1e6:.0f} MB in {cache_home()}")


def clean_all() -> None:
    """Stop engine and cluster, and remove the whole cache, models too; what is not the launcher's stays and is told.

    Raises:
        JobError: Another launcher is at work.
    """
    home = cache_home()
    _require_that_nobody_is_at_work()
    # Where they never ran, folders with the names of their storage are somebody else's.
    if cluster.status().pid is not None or cluster.log_folder().exists():
        cluster.down()
    if engine.alive() or engine.log_file().exists():
        engine.prune()
    for path in (*_found((*KEPT_BY_KEY, *OTHERS)), *(manifest.parent for manifest in _found((MANIFESTS,)))):
        store.remove(path)
    for lock in _found((LOCKS,)):
        with store.locked_if_free(lock.stem) as held:
            if held and lock.stat().st_size == 0:
                lock.unlink()
    _remove_empty_folders()
    environments = _found(ENVIRONMENTS)
    left = [path.name for path in sorted(home.iterdir()) if path.name != "venv" or {*path.iterdir()} - {*environments}]
    if left:
        console.warn(f"left in {home}, as not the launcher's: {', '.join(left)}")
    console.note(f"removed the cache in {home}")
    # Last, and nothing is told after it: this process runs in one of them, and could import nothing more.
    for environment in environments:
        store.remove(environment)
    _remove_empty_folders()
    with suppress(OSError):  # Something is left, or it is the root of a file system.
        home.rmdir()


def _require_that_nobody_is_at_work() -> None:
    busy = []
    for lock in _found((LOCKS,)):
        with store.locked_if_free(lock.stem) as held:
            if not held:
                busy.append(lock.stem)
    if busy:
        raise JobError(
            f"another launcher is at work on {', '.join(busy)}, so {cache_home()} stays as it is",
            "Run it again when that has ended.",
        )


def _found(patterns: tuple[str, ...]) -> list[Path]:
    return sorted(path for pattern in patterns for path in cache_home().glob(pattern))


def _remove_empty_folders() -> None:
    for pattern in (*KEPT_BY_KEY, *ENVIRONMENTS, MANIFESTS, LOCKS, *OTHERS):
        for parent in PurePath(pattern).parents[:-1]:
            for folder in cache_home().glob(str(parent)):
                with suppress(OSError):  # Something is in it.
                    folder.rmdir()


def _stale(kind: str, entries: list[Path]) -> list[Path]:
    """Those of a kind's entries that are not in use; what a launcher that was killed has left of one is among them."""
    names = _in_use(kind)
    if names is None:
        whole = [entry for entry in entries if _is_whole(entry)]
        names = {entry.name for entry in sorted(whole, key=lambda entry: entry.stat().st_mtime)[-1:]}
    return [entry for entry in entries if entry.name not in names]


def _is_whole(entry: Path) -> bool:
    finished = (entry / store.MANIFEST).exists() or (entry / services.MARKER).exists()
    return finished and store.STAGING not in entry.name


def _lock_of(entry: Path) -> str:
    """Name of the lock that is held while an entry is made."""
    if entry.parent.name == "venv":
        return f"venv-{entry.name.rpartition('-')[0]}"
    return f"{entry.parent.name}-{entry.name.partition(store.STAGING)[0]}"


def _in_use(kind: str) -> set[str] | None:
    """Names of a kind's entries that this checkout uses; None where that is not known before they are made."""
    used: set[str] | None = None
    match kind.partition("-"):
        case ("venv", "", _):
            used = set(os.environ[VARIABLE].split(os.pathsep))
        case ("engine", _, "root"):
            used = engine.roots_in_use()
        case ("node", _, "root"):
            used = {cluster.node_root_key()}
        case ("zarf", _, "init"):
            used = {cluster.init_package_key()}
        case ("tool", _, name):
            used = {gotools.load(name).key()} if name in gotools.names() else set()
        case ("wheels", _, name):
            used = {python_tools.key(name)} if python_tools.lock(name).exists() else set()
        case ("root", _, name):
            used = {images.root_key(images.load(name))} if name in images.names() else set()
        case ("image", _, name) if name in images.BASE_IMAGES:
            used = _layout_in_use(name)
        case ("venv", _, name) if python_tools.lock(name).exists():
            used = {services.environment_key(python_tools.lock(name))}
        case ("venv", _, name) if (service := name.removeprefix("service-")) in services.names():
            used = {services.environment_key(*services.requirements(service))}
    return used


def _layout_in_use(name: str) -> set[str] | None:
    try:
        return {images.layout_key(images.load(name), mirrors(refresh=False))}
    except HostError:
        return None
