"""The engine of the gpu flavor: sentence-transformers on torch. Imported only where it is chosen.

Texts are made tokens by the same reader as for the other engine: limits, counts and errors are the same; the library
gets tokens, and its modules do the rest.
"""

import os
from collections.abc import Sequence

# Before the import that reads them: nothing is loaded from a hub.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_OFFLINE"] = "1"

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer

from cowabungaai_sdk.models import ModelError
from cowabungaai_text_embeddings.engine import Tokens, padded
from cowabungaai_text_embeddings.folder import Folder


class TorchEngine:
    """Runs a folder as sentence-transformers does, whatever its architecture.

    Args:
        folder: the model's.
        precision: float32; None means what the model was saved as.
        device: torch's name of it; None means a GPU where there is one.
        threads: how many compute one batch on a CPU; 0 means as torch chooses.

    Raises:
        ModelError: int8 is asked for, or the library cannot load the folder.
    """

    def __init__(self, folder: Folder, precision: str | None, device: str | None, threads: int) -> None:
        if precision == "int8":
            raise ModelError("precision is int8, which torch's engine has not got; expected float32, or leave it out")
        if threads:
            torch.set_num_threads(threads)
        dtype: object = torch.float32 if precision else "auto"
        try:
            self._model = SentenceTransformer(
                str(folder.path),
                device=device,
                trust_remote_code=False,
                local_files_only=True,
                model_kwargs={"dtype": dtype},
            )
        # The library raises whatever it meets, torch's errors of a missing device among them.
        except Exception as error:
            raise ModelError(f"sentence-transformers cannot load {folder.path}: {error}") from error
        self._model.eval()
        self._padding = int(folder.config.get("pad_token_id") or 0)
        width = self.vectors([np.full(3, self._padding, np.int32)]).shape[1]
        if width != folder.dimensions:
            raise ModelError(
                f"{folder.path} makes vectors of {width} dimensions; its configuration says {folder.dimensions}"
            )

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
