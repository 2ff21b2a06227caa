"""Serves GGUF models: `python -m cowabungaai_llama_cpp --model model.gguf`. Exit status as cowabungaai_sdk.serve's."""

import argparse
import os
import sys

from cowabungaai_llama_cpp.backend import LlamaBackend
from cowabungaai_llama_cpp.config import CACHE_TYPES, DEFAULT_CONTEXT, LlamaConfig
from cowabungaai_llama_cpp.cpus import usable_cpus
from cowabungaai_llama_cpp.templates import names
from cowabungaai_sdk import models
from cowabungaai_sdk.serve import add_setting, boolean, run

MAX_PARALLEL = 64
MAX_BATCH = 8192


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this backend's own arguments.

    Args:
        parser: gets them.
    """
    defaults = LlamaConfig()
    models.add_arguments(parser)
    add_setting(
        parser,
        "context-length",
        _size,
        None,
        f"most tokens of a prompt and its answer; unset: the model's training length, at most {DEFAULT_CONTEXT}",
    )
    add_setting(parser, "parallel", _parallel, defaults.parallel, "answers generated at once; each has a whole context")
    add_setting(parser, "threads", _threads, None, "threads of the engine; unset: the processors that it may use")
    add_setting(parser, "batch-size", _batch, defaults.batch_size, "most tokens of one step of the engine")
    add_setting(
        parser, "cache-type-k", _cache_type, defaults.cache_type_k, f"keys in the cache: {', '.join(CACHE_TYPES)}"
    )
    add_setting(
        parser, "cache-type-v", _cache_type, defaults.cache_type_v, f"values in the cache: {', '.join(CACHE_TYPES)}"
    )
    add_setting(parser, "swa-full", boolean, "false", "true: keep what left a sliding window, for more cache hits")
    add_setting(
        parser,
        "reproducible",
        boolean,
        "true",
        "false: faster for long prompts, but answers depend on what else is being answered",
    )
    add_setting(
        parser, "chat-template", str, None, f"for models without one: a Jinja file, or one of {', '.join(names())}"
    )


def make_backend(arguments: argparse.Namespace) -> LlamaBackend:
    """Makes the backend as the arguments say.

    Args:
        arguments: parsed arguments.

    Raises:
        ModelError: a model cannot be found.
    """
    config = LlamaConfig(
        context_length=arguments.context_length,
        parallel=arguments.parallel,
        threads=arguments.threads or usable_cpus(),
        batch_size=arguments.batch_size,
        cache_type_k=arguments.cache_type_k,
        cache_type_v=arguments.cache_type_v,
        swa_full=arguments.swa_full,
        reproducible=arguments.reproducible,
        chat_template=arguments.chat_template,
    )
    return LlamaBackend(models.chosen(arguments), config)


def _size(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 2**31:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size; expected a whole number from 1")
    return int(text)


def _between(text: str, low: int, high: int) -> int:
    if not text.isdecimal() or not low <= int(text) <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is not a count; expected {low} to {high}")
    return int(text)


def _parallel(text: str) -> int:
    return _between(text, 1, MAX_PARALLEL)


def _threads(text: str) -> int:
    return _between(text, 1, max(1, os.cpu_count() or 1))


def _batch(text: str) -> int:
    return _between(text, 2 * MAX_PARALLEL, MAX_BATCH)


def _cache_type(text: str) -> str:
    if text not in CACHE_TYPES:
        raise argparse.ArgumentTypeError(f"{text!r} is no type of the cache; expected one of {', '.join(CACHE_TYPES)}")
    return text


if __name__ == "__main__":
    # Nothing here asks a hub; should a library ever want to, it may not.
    os.environ["HF_HUB_OFFLINE"] = "1"
    sys.exit(run(make_backend, prog="cowabungaai_llama_cpp", add_own=add_arguments))
