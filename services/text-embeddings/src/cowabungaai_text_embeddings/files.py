# SPDX-License-Identifier: Apache-2.0
"""Files of a model's folder: JSON and safetensors, with errors that say which file and what was expected."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from cowabungaai_sdk.manifest import is_inside
from cowabungaai_sdk.models import ModelError

Array = NDArray[Any]
FLOATS = ("F64", "F32", "F16", "BF16")
"""The types of weights that are read, as safetensors names them."""


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Args:
        path: the file.

    Raises:
        ModelError: it is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(
            f"{path} is missing; expected a complete sentence-transformers folder, copy it there again"
        ) from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is not a readable JSON file: {error}; copy it there again") from error


def read_object(path: Path, *, missing_ok: bool = False) -> dict[str, Any]:
    """Reads a JSON object.

    Args:
        path: the file.
        missing_ok: whether a missing file is an empty object.

    Raises:
        ModelError: it is missing or is no JSON object.
    """
    if missing_ok and not path.exists():
        return {}
    found = read_json(path)
    if not isinstance(found, dict):
        raise ModelError(f"{path} holds a JSON {type(found).__name__}; expected an object")
    return found


def below(folder: Path, name: str, source: Path) -> Path:
    """A path that a file of a folder names.

    Args:
        folder: where the path starts.
        name: the path below it; empty where it is the folder itself.
        source: the file that names it.

    Raises:
        ModelError: it leads out of the folder.
    """
    plain = PurePosixPath(name)
    if plain.parts and not is_inside(str(plain)):
        raise ModelError(f"{source} names the path {name!r}; expected one below {folder}, without '..'")
    return folder / plain


class Weights(Mapping[str, Array]):
    """The tensors of a folder's safetensors files, as float32, each read when it is asked for.

    Args:
        paths: the files.

    Raises:
        ModelError: one is truncated, or is no safetensors file.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.name = str(paths[0]) if len(paths) == 1 else f"{paths[0].parent}/*.safetensors"
        self._places: dict[str, Path] = {}
        for path in paths:
            with _opened(path) as file:
                self._places.update(dict.fromkeys(file.keys(), path))

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, name: str) -> Array:
        """See Mapping; a wrong type of numbers is a ModelError."""
        path = self._places[name]
        with _opened(path) as file:
            kind = file.get_slice(name).get_dtype()
            if kind not in FLOATS:
                raise ModelError(f"{path}: tensor {name} has type {kind}; expected one of {', '.join(FLOATS)}")
            return np.asarray(file.get_tensor(name)).astype(np.float32, copy=False)

    def tensor(self, name: str, *shape: int | None) -> Array:
        """A tensor of a known shape.

        Args:
            name: its name.
            shape: its sizes; None where any size will do.

        Raises:
            ModelError: there is none of that name, or it has another shape.
        """
        if name not in self._places:
            raise ModelError(f"{self.name} has no tensor {name}; it is of another architecture than config.json says")
        found = self[name]
        if len(found.shape) != len(shape) or any(
            want not in (None, have) for want, have in zip(shape, found.shape, strict=True)
        ):
            wanted = ", ".join("any" if size is None else str(size) for size in shape)
            raise ModelError(
                f"{self.name}: tensor {name} has shape [{', '.join(map(str, found.shape))}]; "
                f"expected [{wanted}], as config.json says; one of the two files is of another model"
            )
        return found


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    if not path.is_file():
        raise ModelError(f"{path} is missing; expected the model's weights, copy the file there again")
    try:
        with safe_open(path, framework="numpy") as file:
            yield file
    except (SafetensorError, OSError) as error:
        size = path.stat().st_size
        raise ModelError(
            f"{path} ({size} bytes) is no complete safetensors file: {error}; copy it there again"
        ) from error
