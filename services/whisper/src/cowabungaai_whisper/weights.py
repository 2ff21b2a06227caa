# SPDX-License-Identifier: Apache-2.0
"""A model's folder, looked at before an engine opens it: every file that is needed, whole and of one make.

The form of `model.bin` is CTranslate2's, as its `python/ctranslate2/specs/model_spec.py` writes it: version, name of
the specification, its revision, the number of variables, then each with name, shape, type, size and data; then the
number of aliases, and each with its variable's name. Numbers are little-endian; strings end with a zero that their
length counts.
"""

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from cowabungaai_sdk.models import ModelError

SPECIFICATION = "WhisperSpec"
VERSIONS = range(4, 7)
"""Forms of the file that are known; older ones write their variables otherwise."""
TIMESTAMPS = 1501
"""Tokens for times, 0.00 to 30.00 seconds; they follow all others."""
MEL_BANDS = 80
"""What a folder without preprocessor_config.json has, by faster-whisper's rule."""
CONVERT = "convert it anew with ct2-transformers-converter"


@dataclass(frozen=True, slots=True)
class Weights:
    """What is known of a model before it is loaded.

    Args:
        folder: where it is.
        multilingual: whether it knows more than English, and translates.
        mel_bands: how many bands of sound it listens to.
    """

    folder: Path
    multilingual: bool
    mel_bands: int


def inspect(folder: Path) -> Weights:
    """Checks a model's folder; reads names and sizes of the weights, but not the weights.

    Args:
        folder: with model.bin, config.json, tokenizer.json and vocabulary.

    Raises:
        ModelError: a file is missing, truncated, of another form, or does not belong to the others.
    """
    if not folder.is_dir():
        raise ModelError(f"{folder} is a file; expected the folder of a Whisper model in CTranslate2's form")
    _whole(folder)
    shapes = _variables(folder / "model.bin")
    try:
        vocabulary = shapes["decoder/embeddings/weight"][0]
        mel_bands = shapes["encoder/conv1/weight"][1]
    except (KeyError, IndexError) as error:
        raise ModelError(f"{folder / 'model.bin'} lacks a variable of Whisper's; {CONVERT}") from error
    tokens = _tokens(folder)
    if len(tokens) != vocabulary:
        raise ModelError(
            f"the vocabulary in {folder} has {len(tokens)} tokens, and model.bin has {vocabulary}; "
            "take both from the same model"
        )
    _check_json(folder / "config.json")
    _check_tokenizer(folder / "tokenizer.json", vocabulary)
    _check_mel_bands(folder / "preprocessor_config.json", mel_bands)
    # By this token, which English models lack, CTranslate2 tells them apart.
    return Weights(folder, "" in tokens, mel_bands)


def _whole(folder: Path) -> None:
    missing = [name for name in ("model.bin", "config.json", "tokenizer.json") if not (folder / name).is_file()]
    if not any((folder / f"vocabulary.{kind}").is_file() for kind in ("json", "txt")):
        missing.append("vocabulary.txt or vocabulary.json")
    if missing:
        raise ModelError(
            f"{folder} lacks {', '.join(missing)}; expected a Whisper model in CTranslate2's form, "
            "as `ct2-transformers-converter --copy_files tokenizer.json preprocessor_config.json` makes it"
        )


def _tokens(folder: Path) -> list[str]:
    path = folder / "vocabulary.json"
    if not path.is_file():
        return (folder / "vocabulary.txt").read_text("utf-8").removesuffix("\n").split("\n")
    found = _json(path)
    if not isinstance(found, list):
        raise ModelError(f"{path} holds a JSON {type(found).__name__}; expected a list of tokens")
    return found


def _variables(path: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the variables, read by skipping over their data."""
    size = path.stat().st_size
    with path.open("rb") as file:
        try:
            return _read_variables(file, path, size)
        except (struct.error, UnicodeDecodeError) as error:
            raise ModelError(
                f"{path} is truncated or is no model: it ends or breaks at byte {file.tell()} of {size}; "
                "copy it again, whole"
            ) from error


def _read_variables(file: BinaryIO, path: Path, size: int) -> dict[str, tuple[int, ...]]:
    (version,) = _unpack(file, "I")
    if version not in VERSIONS:
        raise ModelError(
            f"{path} is no model of CTranslate2 that is known here: it begins with version {version}, "
            f"expected {VERSIONS.start} to {VERSIONS.stop - 1}; {CONVERT}"
        )
    specification = _string(file)
    if specification != SPECIFICATION:
        raise ModelError(f"{path} is a {specification!r} of CTranslate2; expected {SPECIFICATION}, a Whisper model")
    _, count = _unpack(file, "II")
    shapes: dict[str, tuple[int, ...]] = {}
    for _ in range(count):
        name = _string(file)
        (rank,) = _unpack(file, "B")
        shapes[name] = _unpack(file, f"{rank}I")
        _, length = _unpack(file, "BI")
        end = file.tell() + length
        if end > size:
            raise ModelError(
                f"{path} is truncated: it has {size} bytes, and {name} alone ends at byte {end}; copy it again, whole"
            )
        file.seek(length, 1)
    (aliases,) = _unpack(file, "I")
    for _ in range(aliases):
        alias, name = _string(file), _string(file)
        shapes[alias] = shapes.get(name, ())
    return shapes


def _unpack(file: BinaryIO, form: str) -> tuple[int, ...]:
    return struct.unpack(f"<{form}", file.read(struct.calcsize(f"<{form}")))


def _string(file: BinaryIO) -> str:
    (length,) = _unpack(file, "H")
    (text,) = struct.unpack(f"{length}s", file.read(length))
    return str(text, "utf-8").rstrip("\0")


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise ModelError(f"{path} is no JSON: {error}; copy it again, whole") from error


def _check_json(path: Path) -> dict[str, Any]:
    found = _json(path)
    if not isinstance(found, dict):
        raise ModelError(f"{path} holds a JSON {type(found).__name__}; expected an object")
    return found


def _check_tokenizer(path: Path, vocabulary: int) -> None:
    added = _check_json(path).get("added_tokens")
    tokens = {token.get("content"): token.get("id") for token in added} if isinstance(added, list) else {}
    last = tokens.get("<|notimestamps|>")
    if "<|startoftranscript|>" not in tokens or not isinstance(last, int):
        raise ModelError(
            f"{path} is no tokenizer of Whisper's: it has no token <|startoftranscript|> or <|notimestamps|>"
        )
    if last + 1 + TIMESTAMPS > vocabulary:
        raise ModelError(
            f"{path} and model.bin do not belong together: the tokenizer needs {last + 1 + TIMESTAMPS} tokens, "
            f"the model knows {vocabulary}; take both from the same model"
        )


def _check_mel_bands(path: Path, mel_bands: int) -> None:
    said = _check_json(path).get("feature_size", MEL_BANDS) if path.is_file() else mel_bands
    if said != mel_bands:
        raise ModelError(
            f"{path} says feature_size {said}, and model.bin has {mel_bands}; take both from the same model"
        )
