# SPDX-License-Identifier: Apache-2.0
"""Serves GGUF models: `python -m cowabungaai_llama_cpp --model model.gguf`. Exit status as cowabungaai_sdk.serve's."""

import argparse
import os
import sys

from cowabungaai_llama_cpp.backend import LlamaBackend
from cowabungaai_llama_cpp.config import CACHE_TYPES, DEFAULT_CONTEXT, LlamaConfig
from cowabungaai_llama_cpp.templates import names
from cowabungaai_sdk import models
from cowabungaai_sdk.cpus import usable_cpus
from cowabungaai_sdk.serve import run
from cowabungaai_sdk.settings import add_setting, boolean, one_of, whole

MAX_PARALLEL = 64
MAX_BATCH = 8192


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this backend's own arguments.

    Args:
        parser: gets them.
    """
    defaults = LlamaConfig()
    models.add_arguments(parser)
    cache_type = one_of(tuple(CACHE_TYPES))
    add_setting(
        parser,
        "context-length",
        whole(1, 2**31 - 1),
        None,
        f"most tokens of a prompt and its answer; unset: the model's training length, at most {DEFAULT_CONTEXT}",
    )
    add_setting(
        parser,
        "parallel",
        whole(1, MAX_PARALLEL),
        defaults.parallel,
        "answers generated at once; each has a whole context",
    )
    add_setting(
        parser,
        "threads",
        whole(1, max(1, os.cpu_count() or 1)),
        None,
        "threads of the engine; unset: the processors that it may use",
    )
    add_setting(
        parser,
        "batch-size",
        whole(2 * MAX_PARALLEL, MAX_BATCH),
        defaults.batch_size,
        "most tokens of one step of the engine",
    )
    add_setting(
        parser, "cache-type-k", cache_type, defaults.cache_type_k, f"keys in the cache: {', '.join(CACHE_TYPES)}"
    )
    add_setting(
        parser, "cache-type-v", cache_type, defaults.cache_type_v, f"values in the cache: {', '.join(CACHE_TYPES)}"
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


if __name__ == "__main__":
    # Nothing here asks a hub; should a library ever want to, it may not.
    os.environ["HF_HUB_OFFLINE"] = "1"
    sys.exit(run(make_backend, prog="cowabungaai_llama_cpp", add_own=add_arguments))
