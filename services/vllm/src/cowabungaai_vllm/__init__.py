# SPDX-License-Identifier: Apache-2.0
"""A backend on vLLM's asynchronous engine: chat and completions on GPUs, LoRA adapters by model name."""

import os

# Before vLLM or transformers is imported, wherever that happens: nothing is loaded from a hub, nothing is reported.
os.environ.update(
    HF_HUB_OFFLINE="1",
    TRANSFORMERS_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    VLLM_NO_USAGE_STATS="1",
    DO_NOT_TRACK="1",
)
