# SPDX-License-Identifier: Apache-2.0
"""Serves a model by vLLM: `python -m cowabungaai_vllm --model FOLDER --config FILE`. Exit status as the SDK says."""

import argparse
import sys
from pathlib import Path

from cowabungaai_sdk import models
from cowabungaai_sdk.manifest import ModelError
from cowabungaai_sdk.serve import run
from cowabungaai_sdk.settings import add_setting
from cowabungaai_vllm.backend import VllmBackend
from cowabungaai_vllm.config import load


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the backend's own arguments.

    Args:
        parser: gets them.
    """
    models.add_arguments(parser)
    add_setting(parser, "config", Path, None, "YAML file of the engine's arguments, parsers and adapters")


def make_backend(arguments: argparse.Namespace) -> VllmBackend:
    """Makes the backend as the arguments say.

    Args:
        arguments: parsed arguments.

    Raises:
        ModelError: the models or the configuration are not as they should be.
    """
    found = models.chosen(arguments)
    if len(found) > 1:
        names = ", ".join(model.id for model in found)
        raise ModelError(
            f"an engine serves one model, and these are {names}; start a process for each, or use adapters"
        )
    return VllmBackend(found[0], load(arguments.config))


if __name__ == "__main__":
    sys.exit(run(make_backend, prog="cowabungaai_vllm", add_own=add_arguments))
