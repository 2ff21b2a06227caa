# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime's sessions, as this service opens them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnxruntime  # type: ignore[import-untyped]

from cowabungaai_sdk.cpus import usable_cpus
from cowabungaai_sdk.models import ModelError
from cowabungaai_text_embeddings.files import Array
from cowabungaai_text_embeddings.machine import int8_saturates

_ERROR = 3
"""ONNX Runtime's severity of errors; its warnings are about hardware that a container does not show."""
_DISABLED = {"SkipLayerNormFusion"}
"""Optimisers not to use: on a CPU the fused norm takes three times as long as the sum and the norm that it replaces."""


def open_session(
    model: bytes | Path, weights: Mapping[str, Array] | None = None, *, threads: int
) -> onnxruntime.InferenceSession:
    """Opens a model.

    Args:
        model: the model, or its file.
        weights: what the model declares to lie outside.
        threads: how many compute one batch; 0 means as many as there are CPUs for this process.

    Raises:
        ModelError: it is no model that ONNX Runtime can run.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or usable_cpus()
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERROR
    # Batches differ in their sizes: plans of memory for each of them would only add up.
    options.enable_mem_pattern = False
    if int8_saturates():
        options.add_session_config_entry("session.x64quantprecision", "1")
    if weights:
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in weights.values()]
        options.add_external_initializers(list(weights), values)
    given: Any = model if isinstance(model, bytes) else str(model)
    try:
        return onnxruntime.InferenceSession(
            given, options, providers=["CPUExecutionProvider"], disabled_optimizers=_DISABLED
        )
    except Exception as error:
        name = "the converted model" if isinstance(model, bytes) else str(model)
        raise ModelError(f"{name} cannot be run by ONNX Runtime {onnxruntime.__version__}: {error}") from error
