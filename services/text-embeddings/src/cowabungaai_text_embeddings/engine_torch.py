# SPDX-License-Identifier: Apache-2.0
"""The engine of the gpu flavor: sentence-transformers on torch. Imported only where it is chosen.

Texts are made tokens by the same reader as for the other engine: limits, counts and errors are the same; the library
gets tokens, and its modules do the rest.
"""

import os
from collections.abc import Sequence
from importlib import import_module
from typing import Any

# Before the import that reads them: nothing is loaded from a hub, and the log is ours.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_OFFLINE"] = "1"
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import numpy as np
from numpy.typing import NDArray

from cowabungaai_sdk.models import ModelError
from cowabungaai_text_embeddings.engine import Tokens, check, padded
from cowabungaai_text_embeddings.folder import Folder

# Their types are not known to the checks: these packages are in the gpu flavor only.
torch: Any = import_module("torch")
sentence_transformers: Any = import_module("sentence_transformers")
import_module("transformers.utils.logging").disable_progress_bar()


class TorchEngine:
    """Runs a folder as sentence-transformers does, whatever its architecture.

    Args:
        folder: the model's.
        precision: float32; None means what the model was saved as.
        device: torch's name of it; None means a GPU where there is one.
        threads: how many compute one batch on a CPU; 0 means as torch chooses.

    Raises:
        ModelError: int8 is asked for, weights are no safetensors, or the library cannot load the folder.
    """

    def __init__(self, folder: Folder, precision: str | None, device: str | None, threads: int) -> None:
        if precision == "int8":
            raise ModelError("precision is int8, which torch's engine has not got; expected float32, or leave it out")
        folder.require_safetensors()
        if threads:
            torch.set_num_threads(threads)
        dtype: object = torch.float32 if precision else "auto"
        try:
            self._model = sentence_transformers.SentenceTransformer(
                str(folder.path),
                device=device,
                trust_remote_code=False,
                local_files_only=True,
                model_kwargs={"dtype": dtype, "use_safetensors": True},
            )
        # The library raises whatever it meets, torch's errors of a missing device among them.
        except Exception as error:
            raise ModelError(f"sentence-transformers cannot load {folder.path}: {error}") from error
        self._model.eval()
        self._padding = folder.padding
        check(self, folder)

    def vectors(self, texts: Sequence[Tokens]) -> NDArray[np.float32]:
        """See Engine."""
        ids, mask = padded(texts, self._padding)
        device = self._model.device
        features = {
            "input_ids": torch.from_numpy(ids.astype(np.int64)).to(device),
            "attention_mask": torch.from_numpy(mask.astype(np.int64)).to(device),
        }
        with torch.inference_mode():
            found: NDArray[np.float32] = self._model(features)["sentence_embedding"].float().cpu().numpy()
        return found
