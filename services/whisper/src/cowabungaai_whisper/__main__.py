# SPDX-License-Identifier: Apache-2.0
"""Serves Whisper models: `python -m cowabungaai_whisper --model FOLDER`. Exit status as cowabungaai_sdk.serve's."""

import argparse
import sys

from cowabungaai_sdk import models
from cowabungaai_sdk.serve import run
from cowabungaai_sdk.settings import add_setting, amount, boolean, one_of, whole
from cowabungaai_whisper.backend import Whisper
from cowabungaai_whisper.config import WhisperConfig

DEVICES = ("auto", "cpu", "cuda")
MAX_THREADS = 256
MAX_BEAM = 32
MAX_BATCH = 128


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the backend's own arguments.

    Args:
        parser: gets them.
    """
    defaults = WhisperConfig()
    models.add_arguments(parser)
    add_setting(parser, "device", one_of(DEVICES), defaults.device, f"where models run: {', '.join(DEVICES)}")
    add_setting(
        parser, "compute-type", str, defaults.compute_type, "as CTranslate2 names it; auto: int8, on cuda float16"
    )
    add_setting(
        parser,
        "threads",
        whole(0, MAX_THREADS),
        defaults.threads,
        "a worker's, on cpu; 0: one a core, and no more than 4",
    )
    add_setting(
        parser,
        "workers",
        whole(1, MAX_THREADS),
        defaults.workers,
        "windows, or batches of them, worked on side by side",
    )
    add_setting(
        parser,
        "batch-size",
        whole(1, MAX_BATCH),
        defaults.batch_size,
        "the most windows of 30 seconds decoded together",
    )
    add_setting(parser, "beam-size", whole(1, MAX_BEAM), defaults.beam_size, "texts followed at temperature 0")
    add_setting(parser, "vad", boolean, str(defaults.vad).lower(), "true looks for speech first, where not asked for")
    add_setting(parser, "max-audio-bytes", whole(1), defaults.max_audio_bytes, "the largest file")
    add_setting(
        parser, "max-audio-seconds", amount("seconds", positive=True), defaults.max_audio_s, "the longest audio"
    )


def make_backend(arguments: argparse.Namespace) -> Whisper:
    """Makes the backend as the arguments say.

    Args:
        arguments: parsed arguments.

    Raises:
        ModelError: there is no model, or one is not as it should be.
    """
    config = WhisperConfig(
        device=arguments.device,
        compute_type=arguments.compute_type,
        threads=arguments.threads,
        workers=arguments.workers,
        batch_size=arguments.batch_size,
        beam_size=arguments.beam_size,
        vad=arguments.vad,
        max_audio_bytes=arguments.max_audio_bytes,
        max_audio_s=arguments.max_audio_seconds,
    )
    return Whisper(models.chosen(arguments), config)


if __name__ == "__main__":
    sys.exit(run(make_backend, prog="cowabungaai_whisper", add_own=add_arguments))
