# SPDX-License-Identifier: Apache-2.0
"""Serves the models, or converts one: `python -m cowabungaai_text_embeddings --model FOLDER`, `... convert FOLDER OUT`.

Exit status as cowabungaai_sdk.serve's; convert: 0, or 1 where the folder cannot be converted.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

# Before any import that reads them: nothing is loaded from a hub, and numpy's own threads would only take memory.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from cowabungaai_sdk import models
from cowabungaai_sdk.serve import run
from cowabungaai_sdk.settings import add_setting, boolean, one_of, whole
from cowabungaai_text_embeddings.backend import TextEmbeddings
from cowabungaai_text_embeddings.config import (
    ENGINES,
    MAX_INPUTS,
    MAX_REQUEST_TOKENS,
    PRECISIONS,
    Settings,
    installed_engine,
)
from cowabungaai_text_embeddings.folder import Folder

PROG = "cowabungaai_text_embeddings"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the service's own arguments.

    Args:
        parser: gets them.
    """
    models.add_arguments(parser)
    add_setting(parser, "engine", one_of(ENGINES), installed_engine(), "onnx, or torch in the gpu flavor")
    add_setting(
        parser, "precision", one_of(PRECISIONS), None, "int8 or float32; unset: int8, or as the only ONNX file is"
    )
    add_setting(
        parser, "threads", whole(), 0, "threads that work on one batch; 0: one, or the CPUs shared among the streams"
    )
    add_setting(
        parser, "streams", whole(), 0, "batches that are worked on at once; 0: the CPUs shared among threads; torch: 1"
    )
    add_setting(parser, "max-batch-tokens", whole(), 0, "most tokens of a batch, with padding; 0: the engine's own")
    add_setting(parser, "max-inputs", whole(1), MAX_INPUTS, "most inputs of a request")
    add_setting(
        parser, "max-request-tokens", whole(1), MAX_REQUEST_TOKENS, "most tokens of a request's inputs together"
    )
    add_setting(parser, "truncate", boolean, "false", "true cuts inputs that are too long, where a request is silent")
    add_setting(parser, "context-length", whole(1), None, "most tokens of an input; unset: as the model says")
    add_setting(
        parser, "prompt", str, None, "name of the model's prompt to put before texts; empty: none; unset: its default"
    )
    add_setting(parser, "matryoshka", boolean, None, "whether vectors may be shortened; unset: as the model says")
    add_setting(parser, "device", str, None, "torch's device; unset: the best that there is")


def make_backend(arguments: argparse.Namespace) -> TextEmbeddings:
    """Makes the backend as the arguments say.

    Args:
        arguments: parsed arguments.

    Raises:
        ModelError: a model is missing or is not what it should be.
    """
    # Each setting has the name of its argument.
    chosen = {field.name: getattr(arguments, field.name) for field in fields(Settings)}
    return TextEmbeddings(models.chosen(arguments), Settings(**chosen))


def convert(argv: Sequence[str]) -> int:
    """Converts a folder and returns the exit status.

    Args:
        argv: the arguments after `convert`.
    """
    parser = argparse.ArgumentParser(
        prog=f"{PROG} convert", description="Makes a model's folder that starts without conversion, and needs no onnx."
    )
    parser.add_argument("folder", help="a sentence-transformers folder with safetensors")
    parser.add_argument("out", type=Path, help="the folder to make, which must not be there yet")
    parser.add_argument("--precision", choices=PRECISIONS, default=PRECISIONS[0], help="default: %(default)s")
    arguments = parser.parse_args(argv)
    from cowabungaai_text_embeddings.convert import save

    try:
        save(Folder(models.locate(arguments.folder)), arguments.precision, arguments.out)
    except models.ModelError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit status.

    Args:
        argv: the arguments; those of the process by default.
    """
    given = sys.argv[1:] if argv is None else argv
    if given[:1] == ["convert"]:
        return convert(given[1:])
    return run(make_backend, given, prog=PROG, add_own=add_arguments)


if __name__ == "__main__":
    sys.exit(main())
