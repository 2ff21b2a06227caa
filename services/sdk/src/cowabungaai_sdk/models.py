# SPDX-License-Identifier: Apache-2.0
"""The models that a backend serves: files or folders on the machine, checked before an engine opens them."""

import argparse
import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cowabungaai_sdk import manifest as manifests
from cowabungaai_sdk.manifest import Manifest, ModelError
from cowabungaai_sdk.settings import add_setting, boolean
from cowabungaai_sdk.v1.models_pb2 import Capability, Model

__all__ = ["LocalModel", "Manifest", "ModelError", "add_arguments", "chosen", "locate"]

MODELS_DIR = "/models"
"""Where images look for models."""


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model on the machine.

    Args:
        id: the name by which requests choose it.
        path: the file or folder.
        manifest: what the folder says of itself; None for a file, and for a folder without one.
    """

    id: str
    path: Path
    manifest: Manifest | None = None

    def verify(self) -> None:
        """Compares the folder with its manifest. Blocks: it reads every byte.

        Raises:
            ModelError: a file is missing, truncated or changed, or there are files of which the manifest knows nothing.
        """
        if self.manifest is not None:
            manifests.verify(self.path, self.manifest)

    def file(self, pattern: str) -> Path:
        """The one file of the model that an engine opens; the path itself where it is a file.

        Args:
            pattern: of its path below the folder, such as `*.gguf`.

        Raises:
            ModelError: no file matches, or more than one does.
        """
        if not self.path.is_dir():
            return self.path
        found = sorted(self.files(pattern))
        if len(found) == 1:
            return found[0]
        held = ", ".join(path.name for path in found) if found else ", ".join(_names(self.path)) or "nothing"
        raise ModelError(f"{self.path} must hold one file {pattern} and holds {held}; name the file itself, or mend it")

    def files(self, pattern: str) -> list[Path]:
        """The model's files that match; with a manifest only those that it lists.

        Args:
            pattern: of paths below the folder.
        """
        found = (path for path in self.path.glob(pattern) if path.is_file())
        if self.manifest is None:
            return list(found)
        listed = {self.path / file.path for file in self.manifest.files}
        return [path for path in found if path in listed]

    @property
    def digest(self) -> str:
        """Names the weights, in hexadecimal digits; without a manifest from no more than names and sizes."""
        if self.manifest is not None:
            return self.manifest.digest
        paths = [self.path] if self.path.is_file() else sorted(path for path in self.path.rglob("*") if path.is_file())
        lines = (f"{path.relative_to(self.path.parent)}\0{path.stat().st_size}\n" for path in paths)
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def describe(
        self,
        capabilities: Iterable[Capability],
        context_length: int | None = None,
        dimensions: int | None = None,
    ) -> Model:
        """The model as the contract lists it.

        Args:
            capabilities: what it can be asked for.
            context_length: in tokens; None where that is not known, or has no limit.
            dimensions: of its vectors; None where it makes none.
        """
        known = self.manifest
        return Model(
            id=self.id,
            created=known.created if known else 0,
            owned_by=known.owned_by if known else "",
            description=known.description if known else "",
            capabilities=list(capabilities),
            context_length=context_length,
            dimensions=dimensions,
        )


def locate(given: str, *, require_manifest: bool = False) -> LocalModel:
    """Finds a model; cheap, since it reads nothing but the manifest.

    Args:
        given: `PATH` or `NAME=PATH`, of a file or folder.
        require_manifest: whether a model without a manifest is refused.

    Raises:
        ModelError: there is no such path, its manifest is wrong or missing, or the name cannot be one.
    """
    name, separator, rest = given.partition("=")
    # A path may hold `=`, but then as a rule after a `/`, which no name holds.
    named = bool(separator) and "/" not in name
    path = Path(rest if named else given)
    if not path.exists():
        raise ModelError(f"no model at {path}; expected a file or folder, as PATH or NAME=PATH")
    manifest = manifests.read(path) if path.is_dir() else None
    if manifest is None and require_manifest:
        raise ModelError(
            f"{path} has no {manifests.NAME}, and one is required; `./cowabunga models add` makes a folder with one"
        )
    model_id = name if named else manifest.id if manifest else path.stem if path.is_file() else path.resolve().name
    if not manifests.ID.fullmatch(model_id):
        raise ModelError(
            f"{model_id!r} is no name for a model; expected letters, digits and ._:-, given as NAME={path}"
        )
    return LocalModel(model_id, path, manifest)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that choose models: --model, --models-dir and --require-manifest.

    Args:
        parser: gets them.
    """
    parser.add_argument(
        "--model",
        action="append",
        metavar="[NAME=]PATH",
        help="a model's file or folder, and its name where that is another; repeatable, the first is the default "
        "(COWABUNGAAI_MODEL, with commas between)",
    )
    add_setting(parser, "models-dir", Path, MODELS_DIR, "without --model: all folders in it with a manifest are served")
    add_setting(parser, "require-manifest", boolean, "false", "true refuses a model without a manifest")


def chosen(arguments: argparse.Namespace) -> list[LocalModel]:
    """The models that the arguments choose, the default first.

    Args:
        arguments: parsed, of add_arguments.

    Raises:
        ModelError: one cannot be found, two have the same name, or there is none.
    """
    given = arguments.model or _split(os.environ.get("COWABUNGAAI_MODEL", ""))
    folder: Path = arguments.models_dir
    if not given:
        given = sorted(str(path.parent) for path in folder.glob(f"*/{manifests.NAME}"))
    if not given:
        raise ModelError(f"no model: give --model PATH, or put folders with a {manifests.NAME} into {folder}")
    found = [locate(each, require_manifest=arguments.require_manifest) for each in given]
    for position, model in enumerate(found):
        twin = next((other for other in found[:position] if other.id == model.id), None)
        if twin is not None:
            raise ModelError(f"{twin.path} and {model.path} are both named {model.id!r}; name one: --model NAME=PATH")
    return found


def _split(text: str) -> Sequence[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())[:20]
