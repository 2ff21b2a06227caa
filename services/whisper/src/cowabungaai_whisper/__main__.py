"""Serves Whisper models: `python -m cowabungaai_whisper --model FOLDER`. Exit status as cowabungaai_sdk.serve's."""

import argparse
import sys

from cowabungaai_sdk import models
from cowabungaai_sdk.serve import add_setting, boolean, run
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
    add_setting(parser, "device", _device, defaults.device, f"where models run: {', '.join(DEVICES)}")
    add_setting(
        parser, "compute-type", str, defaults.compute_type, "as CTranslate2 names it; auto: int8, on cuda float16"
    )
    add_setting(parser, "threads", _threads, defaults.threads, "a worker's, on cpu; 0: one a core, and no more than 4")
    add_setting(parser, "workers", _workers, defaults.workers, "windows, or batches of them, worked on side by side")
    add_setting(parser, "batch-size", _batch, defaults.batch_size, "the most windows of 30 seconds decoded together")
    add_setting(parser, "beam-size", _beam, defaults.beam_size, "texts followed at temperature 0")
    add_setting(parser, "vad", boolean, str(defaults.vad).lower(), "true looks for speech first, where not asked for")
    add_setting(parser, "max-audio-bytes", _positive, defaults.max_audio_bytes, "the largest file")
    add_setting(parser, "max-audio-seconds", _seconds, defaults.max_audio_s, "the longest audio")


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


def _device(text: str) -> str:
    if text not in DEVICES:
        raise argparse.ArgumentTypeError(f"{text!r} is no device; expected one of {', '.join(DEVICES)}")
    return text


def _count(text: str, least: int, most: float) -> int:
    if not text.isdecimal() or not least <= int(text) <= most:
        limit = f"{least} to {most}" if most < float("inf") else f"a whole number from {least}"
        raise argparse.ArgumentTypeError(f"{text!r} is not such a number; expected {limit}")
    return int(text)


def _threads(text: str) -> int:
    return _count(text, 0, MAX_THREADS)


def _workers(text: str) -> int:
    return _count(text, 1, MAX_THREADS)


def _batch(text: str) -> int:
    return _count(text, 1, MAX_BATCH)


def _beam(text: str) -> int:
    return _count(text, 1, MAX_BEAM)


def _positive(text: str) -> int:
    return _count(text, 1, float("inf"))


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no length of audio; expected seconds, more than 0")
    return seconds


if __name__ == "__main__":
    sys.exit(run(make_backend, prog="cowabungaai_whisper", add_own=add_arguments))
