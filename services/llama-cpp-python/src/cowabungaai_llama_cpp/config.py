# SPDX-License-Identifier: Apache-2.0
"""How models are served where a request does not say otherwise."""

from dataclasses import dataclass

DEFAULT_CONTEXT = 4096
"""The most tokens of a prompt and its answer where no setting says more; less where the model was trained on less."""

CACHE_TYPES = {"f32": 0, "f16": 1, "bf16": 30, "q8_0": 8, "q5_1": 7, "q5_0": 6, "q4_1": 3, "q4_0": 2}
"""Number formats of the attention's cache, with ggml's numbers for them."""


@dataclass(frozen=True, slots=True)
class LlamaConfig:
    """The settings of all models served.

    Args:
        context_length: the most tokens that a prompt and its answer may have together; None: the model's training
            length, but at most DEFAULT_CONTEXT.
        parallel: how many sequences are generated in one batch.
        threads: threads of the engine.
        batch_size: the most tokens of one step of the engine.
        cache_type_k: number format of the attention's keys, one of CACHE_TYPES.
        cache_type_v: number format of the attention's values.
        swa_full: whether models with sliding-window attention keep what left the window; it costs memory, and lets
            more prompts find their beginning in the cache.
        reproducible: whether an answer depends on its request alone, and not on what the cache holds or who else is
            being answered; it leaves out some kernels that are faster for long prompts.
        chat_template: name of a built-in template, or a Jinja template's text, for models without their own.
    """

    context_length: int | None = None
    parallel: int = 4
    threads: int = 1
    batch_size: int = 512
    cache_type_k: str = "f16"
    cache_type_v: str = "f16"
    swa_full: bool = False
    reproducible: bool = True
    chat_template: str | None = None
